"""Read zip and tar archives from outside without trusting them."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from infra.errors import Corrupt, UserError
from infra.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def extract(archive: Path, folder: Path) -> None:
    """Extract all regular files.

    Raises:
        Corrupt: the archive is damaged.
        UserError: a path leaves the folder, or a member is a link or a device.
    """
    with open_members(archive) as members:
        for name, file in members:
            plain = name.removeprefix("./")
            check_name(plain, archive.name, UserError, hint="use an archive with plain file names")
            target = folder / plain
            target.parent.mkdir(parents=True, exist_ok=True)
            with file, target.open("wb") as copy:
                shutil.copyfileobj(file, copy)


@contextmanager
def open_members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Yield the regular files of an archive in order, each open for reading."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack:
                yield _zip(pack)
        else:
            with tarfile.open(archive) as pack:
                yield _tar(pack)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, not of the archive
        raise Corrupt(f"the archive is damaged: {error}", hint="fetch it again") from error


def _tar(pack: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in pack:
        _refuse_escape(member.name)
        if member.isdir():
            continue
        file = pack.extractfile(member) if member.isreg() else None
        if file is None:
            raise UserError(
                f"{member.name} in the archive is a link or a device",
                hint="use an archive of regular files inside its own folder",
            )
        yield member.name, file


def _zip(pack: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in pack.infolist():
        _refuse_escape(member.filename)
        if not member.is_dir():
            with pack.open(member) as file:
                yield member.filename, file


def _refuse_escape(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{name} in the archive leaves its folder", hint="use an archive of regular files inside its own folder"
        )
