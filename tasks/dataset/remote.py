"""Bring the pictures of a source from object storage to this machine; from there on they are files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.dataset.layouts import inside, read_text, rows_of

if TYPE_CHECKING:
    from infra.ports.external import ExternalFiles

_SCHEMES = ("obs://", "s3://")
_TABLES = (".csv", ".manifest")


def may_be_remote(source: str) -> bool:
    """True when the source, or what its table lists, may lie in a bucket."""
    return source.startswith(_SCHEMES) or source.lower().endswith(_TABLES)


def local_source(source: str, files: ExternalFiles) -> str:
    """Return a path of this machine that holds the same as the source.

    Args:
        source: `obs://bucket/folder/`, an archive, `.csv` or `.manifest` in a bucket, or a table of this machine whose
            pictures may lie in a bucket.
        files: fetches objects; those that have not changed are kept.

    Raises:
        UserError: a table is malformed, or names an object that cannot be a file of this machine.
        Refused: there is nothing at the address.
    """
    if not source.startswith(_SCHEMES):
        return _own_table(source, files)
    if PurePosixPath(source).suffix.lower() in _TABLES:
        return _with_pictures(files.local_copy(source), source, files)
    if source.endswith("/") or not files.is_object(source):
        return str(files.local_folder(source))
    return str(files.local_copy(source))


def _own_table(source: str, files: ExternalFiles) -> str:
    """A table of this machine: its pictures lie beside it, or in buckets."""
    path = Path(source).expanduser()
    if not path.is_file():
        return source  # the stage says that it is missing
    beside = _Folder(path.parent)
    rows = rows_of(read_text(path, path.name), path.name)
    absent = any(name.startswith(_SCHEMES) and inside(beside, name) not in beside for name, *_ in rows)
    return _with_pictures(path, str(path.resolve()), files) if absent else source


class _Folder:
    """The files of a folder, looked up one by one, since it may hold many others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, name: object) -> bool:
        return (self._folder / str(name)).is_file()


def _with_pictures(table: Path, source: str, files: ExternalFiles) -> str:
    """Fetch the pictures that a table lists; return the table's copy beside them."""
    rows = rows_of(read_text(table, source), table.name)
    addresses = dict(_place(name.replace("\\", "/"), source) for name, *_ in rows)
    remote = {path: address for path, address in addresses.items() if address.startswith(_SCHEMES)}
    own = {path: Path(address) for path, address in addresses.items() if path not in remote}
    return str(files.local_files(source, remote, {table.name: table, **own}) / table.name)


def _place(name: str, source: str) -> tuple[str, str]:
    """Path of a picture in the folder of copies, and its address or its path on this machine."""
    if name.startswith(_SCHEMES):
        parts = urlsplit(name)
        return f"{parts.netloc}{parts.path}", name
    relative = name.removeprefix("./")
    return relative, f"{source.rpartition('/')[0]}/{relative}"
