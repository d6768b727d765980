"""A data set that was uploaded as one archive."""

from __future__ import annotations

import errno
import fcntl
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from ..failures import Damage, InputError, Interruption

ARCHIVE = "data.tar"


def unpack(folder: Path) -> Path:
    """Return the folder, or if it contains `data.tar`, a subfolder with the archive's files.

    With several processes, as on several devices, one unpacks and the others wait.

    Raises:
        Damage: the archive is damaged.
        InputError: a member is not a regular file, or its path leaves the folder.
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
            shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
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
                    raise InputError(f"{archive} contains '{member.name}', which is not a regular file inside it")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("xb") as file:
                    shutil.copyfileobj(source, file)
                if path.stat().st_size != member.size:
                    raise Damage(f"{archive} ends in the middle of {member.name}", "upload the data set again")
    except tarfile.TarError as error:
        raise Damage(f"{archive} is not an archive, or is damaged: {error}", "upload the data set again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Interruption(f"no space left to unpack {archive}", "free some space and run again") from error
        raise
