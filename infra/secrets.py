"""Secrets of a home: files in `HOME/secrets` that only their owner can read."""

import os
import secrets
from pathlib import Path

from infra.store.atomic import write_text
from infra.store.locks import hold

_BYTES = 24


def secret_file(home: Path, name: str) -> Path:
    """The path of a secret, `HOME/secrets/NAME`; the folder is made for its owner alone, whatever the umask is."""
    folder = home / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(0o700)
    return folder / name


def service_secret(home: Path, name: str, *, prefix: str = "") -> str:
    """The random secret of a local service: made at first use, then kept.

    Args:
        home: the AtlasFlow home.
        name: of the service, and of the file.
        prefix: what a new secret begins with, such as a user name.
    """
    path = secret_file(home, name)
    with hold(home / "locks" / f"secret-{name}"):
        older = home / "services" / f"{name}.secret"  # where version 0.1 kept it
        if not path.exists() and older.exists():
            older.replace(path)
        if not path.exists():
            write_text(path, prefix + secrets.token_urlsafe(_BYTES), mode=0o600)
        path.chmod(0o600)
        return path.read_text(encoding="utf-8")
