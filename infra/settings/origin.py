"""Where the value of a setting comes from."""

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from infra.home import fleet_file
from infra.settings.all import PREFIX
from infra.settings.fleet import read_fleet
from infra.settings.load import sources


class Origins:
    """The sources of one invocation, highest first, as `load` reads them.

    Args:
        profile: as for `load`.
        overrides: likewise.
    """

    def __init__(self, profile: str, overrides: Collection[str]) -> None:
        path = sources(profile)[0]
        secrets = os.environ.get("ATLASFLOW_SECRETS_DIR")
        self._overrides = overrides
        self._variables = {name.upper() for name in os.environ}
        self._secrets = {item.name.upper() for item in Path(secrets).rglob("*")} if secrets else set()
        self._profile = path.name
        self._profiled = tomllib.loads(path.read_text(encoding="utf-8"))
        self._fleet = {"boards": read_fleet(fleet_file())}

    def of(self, name: str) -> str:
        """The source that sets `section.key`; `default` where none does."""
        parts = name.split(".")
        wholes = ["__".join(parts[: count + 1]).upper() for count in range(len(parts))]
        if name in self._overrides:
            return "command line"
        if any(PREFIX + whole in self._variables for whole in wholes):
            return "environment"
        if any(whole in self._secrets for whole in wholes):
            return "secret file"
        if _has(self._profiled, parts):
            return self._profile
        return "fleet file" if _has(self._fleet, parts) else "default"


def _has(table: Mapping[str, Any], parts: list[str]) -> bool:
    value: Any = table
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True
