"""Atomic file writes: temporary file in the same file system → fsync → rename → fsync of the folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .failures import InputError, Interruption

if TYPE_CHECKING:
    from collections.abc import Iterator


LOCK = ".lock"
DIGESTS = "digests.json"
CHECKPOINTS = (".ckpt", ".safetensors", ".pth", ".pt", ".bin", ".onnx")
_PARTIAL = ".partial"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path in a temporary folder next to the target; when the block succeeds, move the file to the target.

    The folder also collects what MindSpore leaves behind when it fails. MindSpore creates files with mode 0400; the
    result has mode 0644.

    Raises:
        Interruption: the disk is full; the previous file is unchanged.
    """
    folder = target.with_name(f".{target.name}.{os.getpid()}{_PARTIAL}")
    temporary = folder / target.name
    try:
        with _full_disk_as_interruption(target):
            folder.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.chmod(0o644)
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Replace a text file."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: object) -> None:
    """Replace a JSON file. Keys are sorted: equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_digests(folder: Path) -> None:
    """Write `digests.json`, the SHA-256 of each result file by relative path, to verify a transfer.

    Logs are left out: they may still grow.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kept = [path for path in files if path.name not in (LOCK, DIGESTS) and path.suffix != ".log"]
    write_json(folder / DIGESTS, {path.relative_to(folder).as_posix(): sha256(path) for path in kept})


def remove_digests(folder: Path) -> None:
    """Remove the list of an earlier run, because the results are about to change."""
    (folder / DIGESTS).unlink(missing_ok=True)


def checkpoint_at(path: Path) -> Path:
    """Return the checkpoint at a path, a file or a folder with exactly one checkpoint (input of a training service).

    Raises:
        InputError: the folder has no checkpoint, or several.
    """
    if not path.is_dir():
        return path
    checkpoints = sorted(file for file in path.iterdir() if file.suffix.lower() in CHECKPOINTS)
    if len(checkpoints) != 1:
        names = ", ".join(file.name for file in checkpoints) or "none"
        raise InputError(
            f"{path} must contain one checkpoint ({' or '.join(CHECKPOINTS)}), but has: {names}", "name the file"
        )
    return checkpoints[0]


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with this process, and remove partial files of a killed process.

    Raises:
        Interruption: another process holds the lock, or the disk is full.
    """
    with _full_disk_as_interruption(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a", encoding="utf-8")
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Interruption(f"another training runs in {folder}", "wait until it ends, or stop it") from error
        for partial in folder.rglob(f".*{_PARTIAL}"):
            shutil.rmtree(partial)
        yield


@contextmanager
def _full_disk_as_interruption(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Interruption(f"no space left for {target}", "free some space and run again") from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
