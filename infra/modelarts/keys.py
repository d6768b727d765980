"""Temporary keys that are renewed while a job is watched: in the folder of secret files, or by an agency."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.agency import fetch

_FIELDS = ("access_key", "secret_key", "security_token")


@dataclass(frozen=True)
class RenewedKeys:
    """Looks for new keys, and gives them to the SDK's credentials.

    Attributes:
        credentials: of the SDK; every request is signed with what they hold then.
        group: whose keys they are: `modelarts`, or `obs`.
        agency: address of the metadata service that gives them; empty for those of the secret files.
    """

    credentials: Any
    group: str
    agency: str = ""

    def renew(self) -> bool:
        """Take new keys; False when there are none, or the same ones."""
        access, secret, token = self._found()
        old = (self.credentials.ak, self.credentials.sk, self.credentials.security_token or "")
        if not access or not secret or (access, secret, token) == old:
            return False
        self.credentials.ak, self.credentials.sk, self.credentials.security_token = access, secret, token or None
        return True

    def _found(self) -> tuple[str, str, str]:
        if self.agency:
            keys = fetch(self.agency)
            return keys.access, keys.secret, keys.token
        folder = os.environ.get("ATLASFLOW_SECRETS_DIR")
        if not folder:
            return "", "", ""
        access, secret, token = (_read(Path(folder) / f"{self.group}__{field}") for field in _FIELDS)
        return access, secret, token


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
