"""What each change did: paired differences between trials that differ in one factor alone; and the Pareto front."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Point:
    """A finished trial as four numbers.

    Attributes:
        levels: factor to value.
        accuracy: in percent.
        size_mb: of its network.
        latency_ms: of one image.
        score: the tuning score.
    """

    levels: Mapping[str, str]
    accuracy: float
    size_mb: float
    latency_ms: float
    score: float


MEASURES = ("accuracy", "size_mb", "latency_ms", "score")
"""The fields of a point that a change can move."""


@dataclass(frozen=True)
class Effect:
    """What a change of one factor from one value to another did.

    Attributes:
        factor: its name.
        before: the value that it is compared with.
        after: the other value.
        measure: one of `MEASURES`.
        differences: after minus before, one a pair of trials that agree in everything else.
    """

    factor: str
    before: str
    after: str
    measure: str
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the differences."""
        return statistics.fmean(self.differences)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the differences (n - 1); None for a single one."""
        return statistics.stdev(self.differences) if len(self.differences) > 1 else None

    @property
    def ups(self) -> int:
        """In how many pairs the measure rose."""
        return sum(difference > 0 for difference in self.differences)


def effects(points: Sequence[Point], values: Mapping[str, Sequence[str]]) -> list[Effect]:
    """The effect of every value of every factor against the factor's first value, on every measure.

    A pair of values that no two trials differ in alone has no effect here.

    Args:
        points: finished trials, each configuration once.
        values: factor to its values, the one to compare with first.
    """
    at = {tuple(sorted(point.levels.items())): point for point in points}
    found = []
    for factor, (before, *others) in values.items():
        for after in others:
            pairs = [
                (point, at[changed])
                for point in points
                if point.levels[factor] == before
                and (changed := tuple(sorted({**point.levels, factor: after}.items()))) in at
            ]
            for measure in MEASURES if pairs else ():
                differences = tuple(getattr(second, measure) - getattr(first, measure) for first, second in pairs)
                found.append(Effect(factor, before, after, measure, differences))
    return found


def pareto(points: Sequence[Point]) -> list[int]:
    """Places of the points that no other one beats: none is at least as good in all three and better in one.

    Higher accuracy, smaller size and smaller latency are better; equal points stay together.
    """
    figures = [(point.accuracy, -point.size_mb, -point.latency_ms) for point in points]
    return [place for place, own in enumerate(figures) if not any(_beats(other, own) for other in figures)]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(first >= second for first, second in zip(one, other, strict=True))
