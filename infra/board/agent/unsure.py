"""Keep the watched pictures of which the model was least sure, for people to label; off unless it is asked for.

A picture is kept as it came. Its name says how sure the model was, when it was kept, and the digest of its bytes:
`0.031250-1732870000-0123456789abcdef.jpg`, so that names sort by how much a label would tell.
"""

import os
import re
import shutil
import time
from typing import Dict, List, NamedTuple, Sequence, Tuple

from .failure import USER, Failure
from .files import PART, digest

FOLDER = "unsure"
DAY = 86400.0
_DIGITS = 16  # of the digest
_NAME = re.compile(r"[01]\.\d{6}-\d+-[0-9a-f]{16}\.[a-z]{3,4}")


class Bounds(NamedTuple):
    """What is kept at most: pictures (0: none), megabytes (10⁶ bytes) and days."""

    pictures: int = 0
    megabytes: float = 50.0
    days: float = 14.0

    def check(self) -> None:
        """Refuse bounds that keep nothing, or for ever.

        Raises:
            Failure: names the option.
        """
        if self.pictures < 0 or (self.pictures and not (self.megabytes > 0 and self.days > 0)):
            raise Failure(USER, "--keep is not negative, --keep-megabytes and --keep-days are more than 0")


class Keeper:
    """Keeps pictures in a folder, within bounds; the surest leave first."""

    def __init__(self, folder: str, bounds: Bounds) -> None:
        bounds.check()
        self._folder = folder
        self._bounds = bounds
        if bounds.pictures:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            for name in os.listdir(folder):  # of a killed program
                if name.endswith(PART):
                    os.unlink(os.path.join(folder, name))

    def offer(self, picture: str, top: Sequence[Tuple[str, float]]) -> None:
        """Keep a picture if it belongs to the least sure.

        Args:
            picture: path of the file.
            top: the best classes and their probabilities, best first. The model is as sure as the first is ahead of
                the second.
        """
        if not self._bounds.pictures:
            return
        margin = top[0][1] - (top[1][1] if len(top) > 1 else 0.0)
        kept = self._drop_old()
        if len(kept) >= self._bounds.pictures and "{:.6f}".format(margin) >= kept[-1].split("-")[0]:
            return
        self._keep(picture, margin, kept)
        self._fit()

    def _keep(self, picture: str, margin: float, kept: List[str]) -> None:
        short = str(digest(picture))[:_DIGITS]
        if any(name.split("-")[2].startswith(short) for name in kept):
            return
        name = "{:.6f}-{:.0f}-{}{}".format(margin, time.time(), short, os.path.splitext(picture)[1].lower())
        target = os.path.join(self._folder, name)
        try:
            shutil.copyfile(picture, target + PART)
        except FileNotFoundError:  # the camera's program has removed it
            return
        os.replace(target + PART, target)

    def _drop_old(self) -> List[str]:
        """The names that are kept, without those that are too old."""
        oldest = time.time() - self._bounds.days * DAY
        kept = []
        for name in names(self._folder):
            if float(name.split("-")[1]) < oldest:
                os.unlink(os.path.join(self._folder, name))
            else:
                kept.append(name)
        return kept

    def _fit(self) -> None:
        """Remove the surest until the bounds hold."""
        kept = names(self._folder)
        sizes = [os.path.getsize(os.path.join(self._folder, name)) for name in kept]
        while kept and (len(kept) > self._bounds.pictures or sum(sizes) > self._bounds.megabytes * 1e6):
            os.unlink(os.path.join(self._folder, kept.pop()))
            sizes.pop()


def names(folder: str) -> List[str]:
    """The names of kept pictures, the least sure first."""
    found = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in found if _NAME.fullmatch(name))


def sizes(folder: str, after: str, limit: int) -> Dict[str, int]:
    """The sizes in bytes of kept pictures by name: the first `limit` names behind `after`."""
    found = [name for name in names(folder) if name > after][:limit]
    return {name: os.path.getsize(os.path.join(folder, name)) for name in found}


def forget(folder: str, given: Sequence[str]) -> int:
    """Remove kept pictures that a client has fetched; returns how many were there."""
    there = set(names(folder)) & set(given)
    for name in there:
        os.unlink(os.path.join(folder, name))
    return len(there)
