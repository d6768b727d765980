"""Write whole or not at all: temporary file in the same file system → fsync → rename → fsync of the folder."""

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
CHECKPOINTS = (".ckpt", ".safetensors")
_PARTIAL = ".partial"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path of the target's name in a temporary folder beside it; when the block ends well, it takes its place.

    The folder also takes what MindSpore leaves behind when it fails. MindSpore makes its files 0400; the result always
    has mode 0644.

    Raises:
        Interruption: the disk is full; what was there before is whole.
    """
    folder = target.with_name(f".{target.name}.{os.getpid()}{_PARTIAL}")
    temporary = folder / target.name
    try:
        with _needing_space(target):
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
    """Replace a JSON file: sorted keys, so that equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """The digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_digests(folder: Path) -> None:
    """Write `digests.json`: path of each file in a folder of results to its SHA-256, for who fetches them elsewhere.

    Logs, which somebody may still write, are left out.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    kept = [path for path in files if path.name not in (LOCK, DIGESTS) and path.suffix != ".log"]
    write_json(folder / DIGESTS, {path.relative_to(folder).as_posix(): sha256(path) for path in kept})


def remove_digests(folder: Path) -> None:
    """Remove the list of an earlier run: the results are not whole any more."""
    (folder / DIGESTS).unlink(missing_ok=True)


def checkpoint_at(path: Path) -> Path:
    """The checkpoint at a path, or the only one in a folder, as training services give inputs.

    Raises:
        InputError: the folder has none, or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in CHECKPOINTS)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(
            f"{path} should hold one checkpoint ({' or '.join(CHECKPOINTS)}), not: {names}", "name the file"
        )
    return found[0]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which ends with this process, and clear away what a killed holder left half-written.

    Raises:
        Interruption: another process holds it, or the disk is full.
    """
    with _needing_space(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a", encoding="utf-8")
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Interruption(f"another training is at work in {folder}", "wait for it, or end it") from error
        for left in folder.rglob(f".*{_PARTIAL}"):
            shutil.rmtree(left)
        yield


@contextmanager
def _needing_space(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Interruption(f"no space left for {target}", "free some space and run it again") from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
