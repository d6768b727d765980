"""Find releases in a folder: one with `release.json` and `model.om`, or a subfolder of this kind for each chip."""

import json
import re
from collections.abc import Mapping
from typing import Any

from infra.errors import UserError
from infra.ports.release import Release
from infra.ports.values import LocalFile

DESCRIPTION = "release.json"
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def releases_in(files: Mapping[str, LocalFile], where: str) -> dict[str, Release]:
    """The releases in a folder, by chip; all have the same id.

    Args:
        files: path inside the folder to file.
        where: the folder, for messages.

    Raises:
        UserError: it has no release, or several.
    """
    found: dict[str, Release] = {}
    for name, file in files.items():
        parent, _, last = f"/{name}".rpartition("/")
        if last == DESCRIPTION and parent.count("/") <= 1:
            prefix = f"{parent}/".removeprefix("/")
            inside = {path.removeprefix(prefix): item for path, item in files.items() if path.startswith(prefix)}
            release = _release(inside, file, where)
            found[release.soc_version] = release
    if len({release.id for release in found.values()}) != 1:
        raise UserError(
            f"{where} holds {'no release' if not found else 'several releases'}",
            hint=f"a release has {DESCRIPTION} and model.om, or a folder with them for each chip",
        )
    return found


def _release(files: Mapping[str, LocalFile], description: LocalFile, where: str) -> Release:
    try:
        facts: dict[str, Any] = json.loads(description.path.read_text(encoding="utf-8"))
        if not IDENTIFIER.fullmatch(facts["id"]):
            raise ValueError(f"'{facts['id']}' cannot name a release")
        return Release(facts["id"], files, facts["soc_version"], facts["emulated"] is True, str(facts.get("cann", "")))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{DESCRIPTION} in {where} is damaged: {error}", hint="take the release from the bucket again"
        ) from error
