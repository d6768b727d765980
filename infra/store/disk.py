"""A disk without room, in words; and what databases on it say."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from infra.errors import Refused

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# sqlite3.SQLITE_FULL, _CORRUPT and _NOTADB; a run that has nothing to do comes by here, and is not to import sqlite3.
_SQLITE_FULL = (13,)
_SQLITE_DAMAGED = (11, 26)


def is_full(error: BaseException) -> bool:
    """True when an error, or what it came from, says that there is no room; SQLite says it in its own way."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _FULL) or getattr(cause, "sqlite_errorcode", 0) in _SQLITE_FULL
        for cause in _causes(error)
    )


def is_damaged(error: BaseException) -> bool:
    """True when an error, or what it came from, says that the file of a database is damaged, or is none."""
    return any(getattr(cause, "sqlite_errorcode", 0) in _SQLITE_DAMAGED for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Refuse when the disk, or what this user may have of it, is full."""
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        raise Refused(
            f"the disk is full, so there is no {what}", hint="free some space, or take another disk"
        ) from error
