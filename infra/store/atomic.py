"""Write whole or not at all: temporary file in the same folder → fsync → rename → fsync of the folder.

A folder that is created on the way is made durable as well: POSIX promises a name only after its folder was flushed.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.faults import NO_FAULTS, FaultPlan

_DURABLE: set[tuple[str, int, int]] = set()  # folders whose names this process knows to be durable
_TEMPORARY = re.compile(r"\.([1-9][0-9]*)-[0-9a-f]{12}\.tmp$")


@contextmanager
def replacing(
    target: Path, *, mode: int = 0o644, faults: FaultPlan = NO_FAULTS, point: str = "write"
) -> Iterator[Path]:
    """Yield a temporary path in the same folder; when the block succeeds, it replaces `target` durably.

    The fault points are `{point}.start`, `{point}.written`, `{point}.renamed` and `{point}.done`.
    """
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name[:80]}.{os.getpid()}-{secrets.token_hex(6)}.tmp")
    faults.reach(f"{point}.start")
    try:
        yield temporary
        temporary.chmod(mode)
        sync(temporary)
        faults.reach(f"{point}.written")
        temporary.replace(target)
        faults.reach(f"{point}.renamed")
    finally:
        temporary.unlink(missing_ok=True)
    sync(target.parent)
    faults.reach(f"{point}.done")


def write_text(
    target: Path, text: str, *, mode: int = 0o644, faults: FaultPlan = NO_FAULTS, point: str = "write"
) -> None:
    """Replace a small text file atomically; it never exists with wider permissions than `mode`."""
    write_bytes(target, text.encode(), mode=mode, faults=faults, point=point)


def write_bytes(
    target: Path, data: bytes, *, mode: int = 0o644, faults: FaultPlan = NO_FAULTS, point: str = "write"
) -> None:
    """Replace a small file atomically; it never exists with wider permissions than `mode`."""
    with replacing(target, mode=mode, faults=faults, point=point) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def is_being_written(temporary: Path) -> bool:
    """Tell whether the process that made a temporary file of `replacing` still runs on this machine."""
    match = _TEMPORARY.search(temporary.name)
    if match is None:
        return False
    try:
        os.kill(int(match[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # a process of another user
    return True


def make_folder(folder: Path) -> None:
    """Create a folder and its parents where they are missing; their names are durable then, whoever created them."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    new = []
    for path in (folder, *folder.parents):
        status = path.stat()
        identity = (str(path), status.st_dev, status.st_ino)
        # What is in a folder that this user cannot write was there before.
        if identity in _DURABLE or path == path.parent or not os.access(path.parent, os.W_OK):
            break
        new.append((path, identity))
    for path, identity in reversed(new):
        sync(path.parent)
        _DURABLE.add(identity)


def sync(path: Path) -> None:
    """Flush a file or a folder to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
