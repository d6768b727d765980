"""Locks that die with their process: `flock` on a file."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold(path: Path, waiting: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock at `path`; yields True when we had to wait for another holder.

    Args:
        path: the lock file; it is made, and stays until `remove_unheld`.
        waiting: called once when somebody else holds the lock.
        shared: let other shared holders in, and only keep exclusive ones out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    waited = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None and not waited:
                    waiting()
                waited = True
                fcntl.flock(descriptor, kind)
            # A file that was removed while we waited is nobody's lock: whoever comes next makes another one.
            if not _is_at(descriptor, path):
                continue
            yield waited
            return
        finally:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """True while somebody, this process included, holds the lock at `path` exclusively; nothing is made or removed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_unheld(paths: Iterable[Path], *, dry_run: bool = False) -> list[Path]:
    """Remove lock files that nobody holds, as killed and finished processes leave them; returns them.

    Each is held while it is removed, so that nobody can have it meanwhile.
    """
    removed = []
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                removed.append(path)
                if not dry_run:
                    path.unlink()
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return removed


def _is_at(descriptor: int, path: Path) -> bool:
    """True when the open file is the one that `path` names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
