"""A data set that travelled as one archive: unpacked beside it once, whichever process comes first."""

from __future__ import annotations

import errno
import fcntl
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from ..failures import Damage, InputError, Interruption

ARCHIVE = "data.tar"


def unpacked(folder: Path) -> Path:
    """The folder itself; or, where it holds `data.tar`, a folder in it with what the archive holds.

    Several processes may ask at once, as those of several devices do: one unpacks, the others wait for it.

    Raises:
        Damage: the archive is damaged.
        InputError: it holds something else than plain files, or a path that leaves the folder.
        Interruption: the disk is full.
    """
    archive = folder / ARCHIVE
    if not archive.is_file():
        return folder
    about = archive.stat()
    target = folder / f".{ARCHIVE}.{about.st_size}.{about.st_mtime_ns}"
    with (folder / f".{ARCHIVE}.lock").open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
            _unpack(archive, partial)
            partial.rename(target)
    return target


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                source = tar.extractfile(member) if member.isreg() else None
                if source is None or name.is_absolute() or ".." in name.parts:
                    raise InputError(f"{archive} holds '{member.name}', which is not a plain file inside it")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("xb") as file:
                    shutil.copyfileobj(source, file)
                if path.stat().st_size != member.size:
                    raise Damage(f"{archive} ends in the middle of {member.name}", "upload the data set again")
    except tarfile.TarError as error:
        raise Damage(f"{archive} is no archive, or a damaged one: {error}", "upload the data set again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Interruption(f"no space left to unpack {archive}", "free some space and run it again") from error
        raise
