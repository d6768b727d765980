"""Errors of a full disk, of one that cannot be written, and of damaged databases."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from infra.errors import Refused

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# sqlite3.SQLITE_FULL, _CORRUPT and _NOTADB, as numbers: a run without work imports this module, but not sqlite3.
_SQLITE_FULL = (13,)
_SQLITE_DAMAGED = (11, 26)


def is_full(error: BaseException) -> bool:
    """True when an error or one of its causes means that the disk is full, also in SQLite's terms."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _FULL) or getattr(cause, "sqlite_errorcode", 0) in _SQLITE_FULL
        for cause in _causes(error)
    )


def is_read_only(error: OSError) -> bool:
    """True when the error is that this user may not write there, or that the file system is read-only."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def is_damaged(error: BaseException) -> bool:
    """True when an error or one of its causes means that a file is a damaged database, or not a database."""
    return any(getattr(cause, "sqlite_errorcode", 0) in _SQLITE_DAMAGED for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Raise `Refused` when the disk, or this user's quota, is full."""
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        raise Refused(
            f"the disk is full, so there is no {what}", hint="free some space, or take another disk"
        ) from error
