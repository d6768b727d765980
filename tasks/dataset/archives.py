"""Read zip and tar archives from outside without trusting them."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import PurePosixPath
from tarfile import InvalidHeaderError, ReadError, TruncatedHeaderError  # type: ignore[attr-defined] # typeshed
from typing import IO, TYPE_CHECKING, Self

from infra.errors import Corrupt, UserError
from infra.names import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 1 << 20
_ENCRYPTED, _AES = 1, 99
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OTHER_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
"""Numbers of the ZIP specification (PKWARE's APPNOTE, 4.4.5)."""


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
            with zipfile.ZipFile(archive) as zip_pack:
                yield _zip(zip_pack)
        else:
            with _open_tar(archive) as tar_pack:
                yield _tar(tar_pack)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, not of the archive
        raise Corrupt(f"the archive is damaged: {error}", hint="fetch it again") from error


class _Header(tarfile.TarInfo):
    """A tar header; a damaged one is an error, while `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        begun = bool(tarfile.offset)
        try:
            return super().fromtarfile(tarfile)
        except (InvalidHeaderError, TruncatedHeaderError) as error:
            if begun:
                raise ReadError(f"{error} after {tarfile.offset:,} bytes") from error
            raise


def _open_tar(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive, tarinfo=_Header)
    except ReadError as error:
        with archive.open("rb") as file:
            cut = file.read(2) == b"PK"
        found = "a zip archive without its end" if cut else "neither a zip archive nor a tar archive"
        hint = "fetch it again, or pack it as zip or tar.gz"
        raise Corrupt(f"the archive is damaged: it is {found}", hint=hint) from error


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
    while pack.fileobj is not None and pack.fileobj.read(_BLOCK):
        pass  # the check sum of a compressed archive is behind its last file


def _zip(pack: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in pack.infolist():
        name = member.filename.replace("\\", "/")  # as old programs for Windows write it
        _refuse_escape(name)
        if name.endswith("/"):
            continue
        if member.flag_bits & _ENCRYPTED or member.compress_type == _AES:
            raise UserError(f"{name} in the archive is encrypted", hint="pack it again without a password")
        if member.compress_type not in _METHODS:
            method = _OTHER_METHODS.get(member.compress_type, f"the method {member.compress_type}")
            raise UserError(f"{name} in the archive is compressed with {method}", hint="pack it again with Deflate")
        with pack.open(member) as file:
            yield name, file


def _refuse_escape(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(
            f"{name} in the archive leaves its folder", hint="use an archive of regular files inside its own folder"
        )
