"""The lock of a board, held during changes; it ends with the process. Standard library only."""

import errno
import fcntl
import os
import time
from typing import Optional

from .failure import REFUSED, TRANSIENT, Failure


class Lock:
    """The lock on the file `path`, which names its holder."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: Optional[int] = None

    def take(self, seconds: float, owner: str) -> None:
        """Take it until the process ends, for `owner`.

        Raises:
            Failure: another process still holds it after `seconds`.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
            if time.monotonic() >= deadline:
                holder = os.read(descriptor, 200).decode("utf-8", "replace")
                os.close(descriptor)
                raise Failure(
                    TRANSIENT, "another deployment is running on this board: " + holder, "try again when it is done"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, owner.encode())
        self._descriptor = descriptor

    def check(self) -> None:
        """Refuse a change without the lock.

        Raises:
            Failure: this process does not hold it.
        """
        if self._descriptor is None:
            raise Failure(REFUSED, "the board's lock is not held")

    def let_go(self) -> None:
        """Close it: in a forked child, where it belongs to the parent, which goes on holding it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
