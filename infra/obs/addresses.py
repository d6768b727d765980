"""Addresses: `obs://bucket/key`, `s3://bucket/key`, or a path of this machine; and what lies at a path."""

import hashlib
from pathlib import Path

from infra.errors import UserError
from infra.obs.keys import Place
from infra.ports.values import LocalFile


def parse(address: str) -> Place | None:
    """Bucket and key of an address, the key possibly empty; None for a path of this machine.

    Raises:
        UserError: nothing, a scheme that is neither `obs` nor `s3`, or no bucket.
    """
    if not address:
        raise UserError("an address is empty", hint="write obs://bucket/key, or a path of this machine")
    scheme, mark, rest = address.partition("://")
    if not mark:
        return None
    bucket, _, key = rest.partition("/")
    if scheme not in ("obs", "s3") or not bucket:
        raise UserError(f"'{address}' is not the address of an object", hint="write obs://bucket/key")
    return Place(bucket, key)


def folder(key: str) -> str:
    """The key prefix of what lies under a folder; empty for a whole bucket."""
    return f"{key.strip('/')}/" if key.strip("/") else ""


def under(address: str, name: str) -> str:
    """The address of `name` in the folder `address`."""
    return f"{address.rstrip('/')}/{name}" if "://" in address else str(Path(address) / name)


def describe(path: Path) -> LocalFile:
    """A file of this machine with its digest.

    Raises:
        UserError: there is no such file.
    """
    try:
        with path.open("rb") as stream:
            return LocalFile(path, hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"there is no file {path}", hint="check the path") from error


def describe_folder(root: Path) -> dict[str, LocalFile]:
    """All files under a folder of this machine, by their relative names."""
    return {path.relative_to(root).as_posix(): describe(path) for path in sorted(root.rglob("*")) if path.is_file()}
