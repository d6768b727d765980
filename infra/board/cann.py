"""Compare version numbers of CANN."""

import re

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.?RC(\d+))?(?:\.?(?:alpha|beta|T|B)\.?(\d+))?.*", re.IGNORECASE)
# Before 5.0 (2021) toolkits were numbered by the year, such as 20.1 (2020); these are older than every later number.
FIRST_YEAR = 19

Order = tuple[int, ...]


def order(version: str) -> Order | None:
    """A sort key in the order of releases; None for a text that is not a version.

    Release candidates come before the release, and a candidate's previews before it: 7.0.RC1.alpha002 < 7.0.RC1 <
    7.0.0 < 7.0.1. Two numbers alone, such as 7.0, name a whole cycle, and come before everything in it.
    """
    found = _VERSION.fullmatch(version.strip())
    if found is None:
        return None
    major, minor, patch, candidate, preview = (int(group) if group is not None else None for group in found.groups())
    assert major is not None and minor is not None  # noqa: S101 - the pattern has both
    era = 0 if major >= FIRST_YEAR else 1
    released = candidate is None
    if patch is candidate is preview is None:
        return (era, major, minor)
    return (era, major, minor, patch or 0, released, candidate or 0, preview is None, preview or 0)


def older(board: str, compiler: str) -> bool | None:
    """Whether a board's CANN is older than the compiler's; None when one of them is unknown."""
    first, second = order(board), order(compiler)
    return None if first is None or second is None else first < second
