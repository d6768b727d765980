"""Files of this machine with their digests."""

from pathlib import Path

from infra.errors import UserError
from infra.ports.values import LocalFile
from infra.store.digests import file_digest


def describe(path: Path) -> LocalFile:
    """Return a file with its digest and its size in bytes.

    Raises:
        UserError: there is no such file.
    """
    try:
        return LocalFile(path, file_digest(path), path.stat().st_size)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"there is no file {path}", hint="check the path") from error


def describe_folder(root: Path) -> dict[str, LocalFile]:
    """Return all files under a folder, by their relative names."""
    return {path.relative_to(root).as_posix(): describe(path) for path in sorted(root.rglob("*")) if path.is_file()}
