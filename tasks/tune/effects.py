"""Effects of changes: paired differences between trials that differ in one factor only; and the Pareto front."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Point:
    """The figures of a finished trial.

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
"""The fields of a point that a change can affect."""


@dataclass(frozen=True)
class Effect:
    """The effect of changing one factor from one value to another.

    Attributes:
        factor: its name.
        before: the value that it is compared with.
        after: the other value.
        measure: one of `MEASURES`.
        differences: after minus before, one for each pair of trials that agree in everything else.
    """

    factor: str
    before: str
    after: str
    measure: str
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the differences."""
        return statistics.fmean(self.differences)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the differences (n - 1); None for a single one."""
        return statistics.stdev(self.differences) if len(self.differences) > 1 else None

    @property
    def ups(self) -> int:
        """Number of pairs in which the measure rose."""
        return sum(difference > 0 for difference in self.differences)


def effects(points: Sequence[Point], values: Mapping[str, Sequence[str]]) -> list[Effect]:
    """Compute the effect of every value of every factor, compared with the factor's first value, on every measure.

    A value for which no two trials differ in that factor only is left out.

    Args:
        points: finished trials, each configuration once.
        values: factor to its values; the first one is the baseline.
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
    """Find the Pareto front with Optuna: higher accuracy, smaller size and lower latency are better.

    Returns:
        Places of the points of the front, in order; equal points are all in it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    study.add_trials(
        [optuna.create_trial(values=[point.accuracy, point.size_mb, point.latency_ms]) for point in points]
    )
    return sorted(trial.number for trial in study.best_trials) if points else []
