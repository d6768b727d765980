"""Locks that die with their process: `flock` on a file."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hold(path: Path, waiting: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock at `path`; yields True when we had to wait for another holder.

    Args:
        path: the lock file; it is made and stays, as removing it would let two processes hold two files.
        waiting: called once when somebody else holds the lock.
        shared: let other shared holders in, and only keep exclusive ones out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        waited = False
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            if waiting is not None:
                waiting()
            fcntl.flock(descriptor, kind)
        yield waited
    finally:
        os.close(descriptor)
