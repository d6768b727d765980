"""Early stopping of trainings: pure rules over curves of scores.

A curve is the score after each epoch that was evaluated. It is compared only with curves of trainings with the same
number of epochs: a schedule that falls more slowly is behind at the same epoch without being worse.

Optuna's pruners implement the same rules, but `SuccessiveHalvingPruner` keeps its rungs in the study's storage, which
a Dask worker on another machine cannot reach, and no pruner says which figures it compared, which the trial's record
shows. So the curves travel to the worker, and the rules are here.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Curve = Mapping[int, float]

Rule = Literal["median", "halving", "none"]
KEPT = 4  # one of four goes on: η of successive halving (Li et al. 2018, §3)


@dataclass(frozen=True)
class Pruning:
    """A pruning rule, and the curves to compare with.

    Attributes:
        rule: `median`, `halving` or `none`.
        after: number of other curves that a decision needs.
        warmup: share of the epochs that always run.
        curves: of trainings with the same number of epochs, by epoch.
    """

    rule: Rule = "none"
    after: int = 1
    warmup: float = 0.0
    curves: Sequence[Curve] = ()


def reason_to_stop(pruning: Pruning, own: Curve, epochs: int) -> str | None:
    """Decide after an epoch whether a training should stop.

    Args:
        pruning: the rule, and what to compare with.
        own: the training's scores so far.
        epochs: of the whole training; the last epoch never stops it.

    Returns:
        The reason to stop; None to go on.
    """
    epoch = max(own, default=0)
    first = max(1, math.ceil(pruning.warmup * epochs))
    others = [curve for curve in pruning.curves if epoch in curve]
    if pruning.rule == "none" or not first <= epoch < epochs or len(others) < pruning.after:
        return None
    if pruning.rule == "median":
        return _median(own, [curve[epoch] for curve in others], epoch)
    return _halving(own, [curve[epoch] for curve in others], epoch) if epoch in rungs(first, epochs) else None


def rungs(first: int, epochs: int) -> tuple[int, ...]:
    """Epochs at which successive halving decides: the first one times powers of four."""
    found = []
    epoch = first
    while epoch < epochs:
        found.append(epoch)
        epoch *= KEPT
    return tuple(found)


def _median(own: Curve, others: Sequence[float], epoch: int) -> str | None:
    """Median stopping rule (Golovin et al. 2017, §3.2.2), with the best score so far as in Optuna."""
    best, median = max(own.values()), statistics.median(others)
    if best >= median:
        return None
    return f"best score in {epoch} epochs {best:.2f} is below the median {median:.2f} of {len(others)} other trainings"


def _halving(own: Curve, others: Sequence[float], epoch: int) -> str | None:
    """Asynchronous successive halving (Li et al. 2018, algorithm 2): the best quarter of a rung continues."""
    places = max(1, (len(others) + 1) // KEPT)
    better = sum(other > own[epoch] for other in others)
    if better < places:
        return None
    return f"after {epoch} epochs {better} of {len(others)} other trainings are better, and {places} may continue"
