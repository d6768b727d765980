"""Temporary keys that another program renews in the folder of secret files while a job is watched."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FIELDS = ("access_key", "secret_key", "security_token")


@dataclass(frozen=True)
class RenewedKeys:
    """Reads the secret files again, and gives what is new in them to the SDK's credentials.

    Attributes:
        credentials: of the SDK; every request is signed with what they hold then.
        group: whose keys they are: `modelarts`, or `obs`.
    """

    credentials: Any
    group: str

    def renew(self) -> bool:
        """Take new keys; False when there are none, or the same ones."""
        folder = os.environ.get("ATLASFLOW_SECRETS_DIR")
        if not folder:
            return False
        access, secret, token = (_read(Path(folder) / f"{self.group}__{field}") for field in _FIELDS)
        old = (self.credentials.ak, self.credentials.sk, self.credentials.security_token or "")
        if not access or not secret or (access, secret, token) == old:
            return False
        self.credentials.ak, self.credentials.sk, self.credentials.security_token = access, secret, token or None
        return True


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
