"""Find pictures that are nearly equal: a fingerprint to find candidates, a thumbnail to be sure.

The fingerprint is the difference hash (N. Krawetz, "Kind of Like That", 2013): of 9 x 8 grey values, whether each is
brighter than its right neighbour. Two pictures are nearly equal when at most `BITS` of 64 bits differ, and the colours
of their thumbnails differ by at most `LEVELS` of 255 on average: drawings on a plain ground share fingerprints.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasks.dataset.values import Look

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

BITS = 5
LEVELS = 6.0
_BANDS = BITS + 1  # with BITS bits different, one of BITS + 1 bands of the fingerprint is equal
_MOST_IN_A_BAND = 300  # pictures with one value of a band; more say that the pictures are plain, not equal


def fingerprint(image: Pixels) -> int:
    """Return the difference hash of an image, uint8 [size, size, 3]."""
    grey = np.asarray(Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return int.from_bytes(np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes(), "big")


def thumbnail(image: Pixels) -> bytes:
    """Return 8 x 8 RGB values of an image, uint8 [size, size, 3]."""
    return np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BOX)).tobytes()


def groups(looks: Sequence[Look], digests: Sequence[str]) -> list[list[int]]:
    """Group pictures that are equal or nearly equal, directly or through others; single ones are groups of one.

    Args:
        looks: of the pictures.
        digests: SHA-256 of their files.

    Returns:
        Places of the pictures; each group, and the groups, in order.
    """
    parents = list(range(len(looks)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    thumbnails = np.array([np.frombuffer(look.thumbnail, np.uint8) for look in looks], np.int16).reshape(len(looks), -1)
    for one, two in _candidates(looks, digests):
        if root(one) == root(two):
            continue
        near = (looks[one].fingerprint ^ looks[two].fingerprint).bit_count() <= BITS
        if digests[one] == digests[two] or (near and np.abs(thumbnails[one] - thumbnails[two]).mean() <= LEVELS):
            parents[max(root(one), root(two))] = min(root(one), root(two))
    found: dict[int, list[int]] = defaultdict(list)
    for place in range(len(looks)):
        found[root(place)].append(place)
    return list(found.values())


def _candidates(looks: Sequence[Look], digests: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield pairs with equal digests, and pairs with an equal band of the fingerprint."""
    equal: dict[object, list[int]] = defaultdict(list)
    width = -(-64 // _BANDS)
    for place, (look, digest) in enumerate(zip(looks, digests, strict=True)):
        equal[digest].append(place)
        for band in range(_BANDS):
            equal[band, look.fingerprint >> (band * width) & ((1 << width) - 1)].append(place)
    for key, places in equal.items():
        if isinstance(key, str) or len(places) > _MOST_IN_A_BAND:
            yield from pairwise(places)
        else:
            yield from combinations(places, 2)
