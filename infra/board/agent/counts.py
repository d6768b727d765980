"""Histograms of a set of images and its answers: classes, confidence, mean colour.

Boards count watched images, and a release counts its evaluation images with the same code, so that the two can be
compared. Standard library only.
"""

from typing import Any, Dict, List, Sequence

BINS = 10  # of equal width
COLOURS = ("red", "green", "blue")
QUANTITIES = ("class", "confidence") + COLOURS  # noqa: RUF005 - one line for old and new Pythons alike

Counts = Dict[str, List[int]]  # quantity → images in each bin


def none(classes: int) -> Counts:
    """The counts of no images."""
    return dict({name: [0] * BINS for name in QUANTITIES[1:]}, **{"class": [0] * classes})


def count(counts: Counts, number: int, confidence: float, colour: Sequence[float]) -> None:
    """Count an image.

    Args:
        counts: changed in place.
        number: of the answered class.
        confidence: its probability, 0 to 1.
        colour: mean red, green and blue of the network's input, 0 to 255.
    """
    counts["class"][number] += 1
    counts["confidence"][_bin(confidence, 1.0)] += 1
    for name, value in zip(COLOURS, colour):  # noqa: B905 - Python 3.6 has no strict
        counts[name][_bin(value, 255.0)] += 1


def add(counts: Counts, more: Dict[str, Any]) -> None:
    """Add the counts of other images, in place."""
    for name in QUANTITIES:
        counts[name] = [one + two for one, two in zip(counts[name], more[name])]  # noqa: B905


def _bin(value: float, top: float) -> int:
    return max(0, min(int(value / top * BINS), BINS - 1))
