"""Locks that die with their process: `flock` on a file."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.store.disk import is_read_only


@contextmanager
def hold(path: Path, on_wait: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock at `path`; yields True when another holder had it first.

    Args:
        path: the lock file; it is created and stays until `remove_unheld`.
        on_wait: called once when another holder has the lock.
        shared: share the lock with other shared holders.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    waited = False
    while True:
        descriptor = _open(path)
        try:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait is not None and not waited:
                    on_wait()
                waited = True
                fcntl.flock(descriptor, kind)
            # A file that was removed in the meantime is not the lock any more: the next holder creates another one.
            if not _is_at(descriptor, path):
                continue
            yield waited
            return
        finally:
            os.close(descriptor)


def _open(path: Path) -> int:
    """Open a lock file; where it can only be read, as in a home on a read-only disk, that is enough for a lock."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError as error:
        if not is_read_only(error):
            raise
        try:
            return os.open(path, os.O_RDONLY | flags)
        except OSError:
            raise error from None


def is_held(path: Path) -> bool:
    """True while a process, this one included, holds the lock at `path` exclusively; it changes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
    """Remove lock files that killed and finished processes left, and return them.

    Each is held while it is removed, so that no other process can take it.
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
