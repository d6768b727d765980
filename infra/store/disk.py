"""A disk without room, in words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from infra.errors import Refused

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: OSError) -> bool:
    """True when an error says that there is no room."""
    return error.errno in _FULL


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Refuse when the disk, or what this user may have of it, is full."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise Refused(
            f"the disk is full, so there is no {what}", hint="free some space, or take another disk"
        ) from error
