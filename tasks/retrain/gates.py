"""Decide whether a challenger wins against the champion: pure decisions on values.

With several seeds, each training is a trial, compared with the champion on the same images. The trial of median
accuracy (of two in the middle the lower one) is the challenger, because the best of several is good partly by chance.
It must win, and so must more than half of all trials; every other gate looks at the challenger alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.engine.gates import Decision

if TYPE_CHECKING:
    from infra.champions import Event
    from tasks.retrain.evaluation import Comparison

KEEP = "nothing: the champion stays"
_ROUNDING = 1e-9  # so that a drop of exactly the bound passes in spite of rounding


@dataclass(frozen=True)
class Trial:
    """One training of a challenge.

    Attributes:
        seed: of the training.
        accuracy: on the evaluation images.
        comparison: with the champion.
    """

    seed: int
    accuracy: float
    comparison: Comparison


def median(trials: Sequence[tuple[float, int]]) -> int:
    """Find the index of the median trial.

    Args:
        trials: accuracy and seed of each, at least one; trials of equal accuracy are ordered by seed.
    """
    order = sorted(range(len(trials)), key=lambda place: trials[place])
    return order[(len(trials) - 1) // 2]


def mcnemar_gate(comparison: Comparison, significance: float) -> Decision:
    """Decide whether the challenger is significantly better than the champion on the same images.

    McNemar's test (Q. McNemar, Psychometrika 12, 1947) counts the images that only one of the two classifies correctly:
    b for the champion, c for the challenger. If both were equally good, c would be binomial with n = b + c and
    probability 1/2, so p = min(1, 2 · Σ_{k ≤ min(b, c)} C(b + c, k) / 2^(b + c)). This is exact for any count; the
    chi-squared approximation (b - c)² / (b + c) is poor below about 25 such images.

    Args:
        comparison: of both on the same images.
        significance: largest p value that counts.
    """
    champion, challenger = comparison.only_champion_right, comparison.only_challenger_right
    p_value = comparison.p_value
    numbers = {
        "champion": comparison.champion_accuracy,
        "challenger": comparison.challenger_accuracy,
        "only_champion_right": champion,
        "only_challenger_right": challenger,
        "p_value": p_value,
        "significance": significance,
    }
    if champion == challenger == 0:
        return Decision(False, "both classify the same images correctly: they are equally good", numbers, KEEP)
    found = (
        f"only the challenger is right on {challenger} images, only the champion on {champion}, "
        f"McNemar p = {p_value:.3g}"
    )
    if challenger <= champion:
        return Decision(False, f"it is not better: {found}", numbers, KEEP)
    if p_value > significance:
        return Decision(False, f"it may be chance: {found}, above retrain.significance {significance:g}", numbers, KEEP)
    return Decision(True, f"it is better: {found}", numbers, KEEP)


def majority_gate(trials: Sequence[Trial], significance: float) -> Decision:
    """Decide whether more than half of the trials win."""
    wins = [trial.seed for trial in trials if mcnemar_gate(trial.comparison, significance).ok]
    seeds = f"seeds {' '.join(map(str, wins))}" if wins else "none"
    reason = f"{len(wins)} of {len(trials)} trainings are better than the champion ({seeds})"
    return Decision(2 * len(wins) > len(trials), reason, {"wins": len(wins), "trials": len(trials)}, KEEP)


def decided_gate(history: Sequence[Event], champion: str, checkpoint: str, *, requested: bool) -> Decision:
    """Refuse a checkpoint that was rejected, or demoted, in favour of this champion, unless a person requests it.

    Args:
        history: of the registry.
        champion: the champion's release; empty for none.
        checkpoint: the challenger's.
        requested: True when a person requested the challenge.
    """
    for event in reversed(history):
        if event.kind != "promoted" and (event.champion, event.checkpoint) == (champion, checkpoint):
            day = time.strftime("%Y-%m-%d", time.gmtime(event.when))
            event_name = "demoted" if event.kind == "demoted" else "rejected"
            reason = f"this checkpoint was {event_name} on {day} by {event.who}: {event.why}"
            return Decision(requested, reason, {}, "give a --reason to challenge the champion with it again")
    return Decision(True, "it was never rejected against this champion", {}, KEEP)


def recall_gate(champion: Mapping[str, float], challenger: Mapping[str, float], max_drop: float) -> Decision:
    """Refuse a challenger with a class that loses more recall than `max_drop` (0 to 1), or that is missing.

    Args:
        champion: class to recall.
        challenger: likewise, on the same images.
        max_drop: the bound.
    """
    return _drops("recall", "retrain.max_recall_drop", champion, challenger, max_drop)


def robustness_gate(champion: Mapping[str, float], challenger: Mapping[str, float], max_drop: float) -> Decision:
    """Refuse a challenger with a corruption on which accuracy falls by more than `max_drop` (0 to 1).

    Args:
        champion: corruption to mean accuracy over its severities.
        challenger: likewise, on the same corrupted images.
        max_drop: the bound.
    """
    return _drops("accuracy under", "retrain.max_robustness_drop", champion, challenger, max_drop)


def _drops(
    what: str, setting: str, before: Mapping[str, float], after: Mapping[str, float], max_drop: float
) -> Decision:
    drops = {name: before[name] - after[name] for name in before if name in after}
    missing = sorted(before.keys() - after.keys())
    if missing or not drops:
        reason = f"{what}: no value for {', '.join(missing) or 'the champion'}, so a drop cannot be ruled out"
        return Decision(False, reason, drops, KEEP)
    refused = {name: drop for name, drop in drops.items() if drop > max_drop + _ROUNDING}
    if refused:
        parts = [f"{name} {before[name]:.4f} → {after[name]:.4f}" for name in sorted(refused, key=lambda n: -drops[n])]
        reason = f"{what} {', '.join(parts)}: a drop of more than {setting} {max_drop:g}"
        return Decision(False, reason, drops, KEEP)
    worst = max(drops, key=lambda name: drops[name])
    most = f"most for {worst}, by {drops[worst]:.4f}" if drops[worst] > 0 else "for none"
    return Decision(True, f"{what} drops {most} (allowed {max_drop:g})", drops, KEEP)


def provenance_gate(champion: Sequence[str], challenger: Sequence[str]) -> Decision:
    """Refuse an emulated challenger of a real champion.

    Args:
        champion: its stages whose bytes a stand-in contributed to.
        challenger: likewise.
    """
    numbers = {"champion_stages": len(champion), "challenger_stages": len(challenger)}
    if challenger and not champion:
        reason = f"a stand-in contributed to its {' '.join(challenger)}, and to nothing of the champion"
        return Decision(False, reason, numbers, "retrain with the champion's profile")
    return Decision(True, "it is as real as the champion", numbers, KEEP)
