"""The password of a stand-in board: off until the settings name one; only a salted hash is stored."""

import hashlib
import hmac
import os
from pathlib import Path

from infra.store.atomic import write_text

_FILE = "password"
_SALT_BYTES = 16


def give(folder: Path, password: str) -> None:
    """Set the password of the board in a folder; an empty one switches this login off."""
    path = folder / _FILE
    if not password:
        path.unlink(missing_ok=True)
    elif not matches(folder, password):
        salt = os.urandom(_SALT_BYTES)
        write_text(path, f"{salt.hex()} {_hash(password, salt)}\n", mode=0o600)


def is_set(folder: Path) -> bool:
    """True when the board takes a password."""
    return (folder / _FILE).is_file()


def matches(folder: Path, password: str) -> bool:
    """True when it is the board's password."""
    if not is_set(folder):
        return False
    salt, stored = (folder / _FILE).read_text(encoding="utf-8").split()
    return hmac.compare_digest(stored, _hash(password, bytes.fromhex(salt)))


def _hash(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()
