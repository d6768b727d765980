"""What the images of a class gained from one training to another, with confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Z95 = 1.959964  # of the standard normal distribution: 95 % lie within


@dataclass(frozen=True)
class ClassGain:
    """How the share of right answers changed for the images of one class, or for all.

    Attributes:
        name: of the class.
        images: how many there are.
        first: share of right answers of the first training, 0 to 1.
        second: of the second.
        low: lower end of the 95 % interval of the gain `second - first`.
        high: its upper end.
    """

    name: str
    images: int
    first: float
    second: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """The second share minus the first."""
        return self.second - self.first

    @property
    def certain(self) -> bool:
        """True when 0 is outside the interval."""
        return self.low > 0 or self.high < 0


def gain(name: str, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> ClassGain:
    """Compute the difference of two shares of right answers to the same images, with its 95 % interval.

    The interval is that of A. Agresti and Y. Min (Statistics in Medicine 24, 2005): Wald's for matched pairs, after
    half an observation is added to each of the four cells.

    Args:
        name: of the class.
        first: which images the first network answers right, bool [n].
        second: likewise, for the second.
    """
    count = len(first)
    only_first, only_second = int((first & ~second).sum()) + 0.5, int((second & ~first).sum()) + 0.5
    difference = (only_second - only_first) / (count + 2)
    spread = math.sqrt(only_first + only_second - (only_second - only_first) ** 2 / (count + 2)) / (count + 2)
    low, high = max(-1.0, difference - _Z95 * spread), min(1.0, difference + _Z95 * spread)
    return ClassGain(name, count, float(first.mean()), float(second.mean()), low, high)
