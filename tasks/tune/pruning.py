"""Which training is hopeless: pure rules over curves of scores, so that a worker anywhere can apply them.

A curve is the score after each epoch that was evaluated. It is compared with those of trainings that have the same
number of epochs only, since a schedule that falls more slowly is behind at the same epoch without being worse.
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
KEPT = 4  # of four, one goes on: η of successive halving (Li et al. 2018, §3)


@dataclass(frozen=True)
class Pruning:
    """How a training is judged.

    Attributes:
        rule: `median`, `halving` or `none`.
        after: how many other curves a judgement needs.
        warmup: share of its epochs that a training always gets.
        curves: of trainings with the same number of epochs, by epoch.
    """

    rule: Rule = "none"
    after: int = 1
    warmup: float = 0.0
    curves: Sequence[Curve] = ()


def objection(pruning: Pruning, own: Curve, epochs: int) -> str | None:
    """Why a training should be stopped after its last epoch; None when it should go on.

    Args:
        pruning: the rule, and what to compare with.
        own: the training's scores so far.
        epochs: of the whole training; the last epoch's score stops nothing.
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
    """The epochs at which successive halving decides: the first one times powers of four."""
    found = []
    epoch = first
    while epoch < epochs:
        found.append(epoch)
        epoch *= KEPT
    return tuple(found)


def _median(own: Curve, others: Sequence[float], epoch: int) -> str | None:
    """The median stopping rule (Golovin et al. 2017, §3.2.2), with the best score so far as Optuna has it."""
    best, median = max(own.values()), statistics.median(others)
    if best >= median:
        return None
    return f"its best score of {epoch} epochs, {best:.2f}, is below the median {median:.2f} of {len(others)} others"


def _halving(own: Curve, others: Sequence[float], epoch: int) -> str | None:
    """Asynchronous successive halving (Li et al. 2018, algorithm 2): the best quarter of a rung goes on."""
    places = max(1, (len(others) + 1) // KEPT)
    better = sum(other > own[epoch] for other in others)
    if better < places:
        return None
    return f"after {epoch} epochs {better} of {len(others)} others were better, and {places} of them go on"
