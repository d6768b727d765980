"""A challenger against the champion, as pure decisions on values: which seed stands for it, and does it win?

The rule for several seeds: each seed's training is one trial, compared with the champion on the same images. The trial
of median accuracy is the challenger (of two in the middle the lower one), since the best of several is too good by
luck. It has to win, and so have more than half of all trials; every other gate looks at the challenger alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.engine.gates import Decision

if TYPE_CHECKING:
    from infra.champions import Event

KEEP = "nothing: the champion stays"
_ROUNDING = 1e-9  # a drop of exactly the bound passes, however its decimals are rounded


@dataclass(frozen=True)
class Trial:
    """One training of a challenge.

    Attributes:
        seed: of the training.
        accuracy: on the evaluation images.
        comparison: with the champion, from `models.evaluation.comparison.compare`; the champion is `first`.
    """

    seed: int
    accuracy: float
    comparison: Mapping[str, float]


def median(trials: Sequence[tuple[float, int]]) -> int:
    """The place of the trial that stands for all.

    Args:
        trials: accuracy and seed of each, at least one; of equal accuracies the smaller seed comes first.
    """
    order = sorted(range(len(trials)), key=lambda place: trials[place])
    return order[(len(trials) - 1) // 2]


def better(comparison: Mapping[str, float], significance: float) -> Decision:
    """Is the challenger better than the champion on the same images, beyond chance?

    McNemar's test (Q. McNemar, Psychometrika 12, 1947) looks at the images that one of the two alone gets right: b the
    champion, c the challenger. Were both equally good, c would be binomial with b + c tosses of a fair coin, so
    p = min(1, 2 · Σ_{k ≤ min(b, c)} C(b + c, k) / 2^(b + c)): exact for any count, without the chi-squared
    approximation (b - c)² / (b + c), which is poor below some 25 such images.

    Args:
        comparison: as in `Trial`.
        significance: largest p value that counts.
    """
    champion, challenger = int(comparison["only_first_right"]), int(comparison["only_second_right"])
    p_value = comparison["p_value"]
    numbers = {
        "champion": comparison["accuracy_first"],
        "challenger": comparison["accuracy_second"],
        "only_champion_right": champion,
        "only_challenger_right": challenger,
        "p_value": p_value,
        "significance": significance,
    }
    if champion == challenger == 0:
        return Decision(False, "no image is right with one of the two alone: they are equally good", numbers, KEEP)
    found = (
        f"{challenger} images are right with the challenger alone, {champion} with the champion alone, "
        f"McNemar p = {p_value:.3g}"
    )
    if challenger <= champion:
        return Decision(False, f"it is not better: {found}", numbers, KEEP)
    if p_value > significance:
        return Decision(False, f"it may be chance: {found}, above retrain.significance {significance:g}", numbers, KEEP)
    return Decision(True, f"it is better: {found}", numbers, KEEP)


def majority(trials: Sequence[Trial], significance: float) -> Decision:
    """Do more than half of the trials win?"""
    wins = [trial.seed for trial in trials if better(trial.comparison, significance).ok]
    words = f"seeds {' '.join(map(str, wins))}" if wins else "none"
    reason = f"{len(wins)} of {len(trials)} trainings are better than the champion ({words})"
    return Decision(2 * len(wins) > len(trials), reason, {"wins": len(wins), "trials": len(trials)}, KEEP)


def decided_gate(history: Sequence[Event], champion: str, checkpoint: str, *, asked_for: bool) -> Decision:
    """Was this very checkpoint turned down or demoted in favour of this champion? Then only a person brings it back.

    Args:
        history: of the registry.
        champion: the champion's release; empty for none.
        checkpoint: the challenger's.
        asked_for: a person asked for this challenge.
    """
    for event in reversed(history):
        if event.kind != "promoted" and (event.champion, event.checkpoint) == (champion, checkpoint):
            day = time.strftime("%Y-%m-%d", time.gmtime(event.when))
            word = "demoted" if event.kind == "demoted" else "turned down"
            reason = f"this very checkpoint was {word} on {day} by {event.who}: {event.why}"
            return Decision(asked_for, reason, {}, "give a --reason to challenge the champion with it again")
    return Decision(True, "it was never turned down against this champion", {}, KEEP)


def recall_gate(champion: Mapping[str, Any], challenger: Mapping[str, Any], max_drop: float) -> Decision:
    """Does any class lose more recall than `max_drop` (0 to 1)? One that the challenger does not know is lost whole.

    Args:
        champion: metrics of its evaluation.
        challenger: likewise, on the same images.
        max_drop: the bound.
    """
    before = {row["class"]: row["recall"] for row in champion["per_class"]}
    after = {row["class"]: row["recall"] for row in challenger["per_class"]}
    return _drops("recall", "retrain.max_recall_drop", before, after, max_drop)


def robustness_gate(champion: Mapping[str, Any], challenger: Mapping[str, Any], max_drop: float) -> Decision:
    """Does the accuracy on any corruption, as the mean over its severities, fall by more than `max_drop` (0 to 1)?

    Args:
        champion: what the stage `robustness` found: `accuracy` is corruption to severity to accuracy.
        challenger: likewise, on the same corrupted images.
        max_drop: the bound.
    """
    before, after = (
        {name: sum(row.values()) / len(row) for name, row in found["accuracy"].items() if row}
        for found in (champion, challenger)
    )
    return _drops("accuracy under", "retrain.max_robustness_drop", before, after, max_drop)


def _drops(
    what: str, setting: str, before: Mapping[str, float], after: Mapping[str, float], max_drop: float
) -> Decision:
    drops = {name: before[name] - after[name] for name in before if name in after}
    missing = sorted(before.keys() - after.keys())
    if missing or not drops:
        reason = f"{what}: nothing is known of {', '.join(missing) or 'the champion'}, so a fall cannot be ruled out"
        return Decision(False, reason, drops, KEEP)
    refused = {name: drop for name, drop in drops.items() if drop > max_drop + _ROUNDING}
    if refused:
        parts = [f"{name} {before[name]:.4f} → {after[name]:.4f}" for name in sorted(refused, key=lambda n: -drops[n])]
        reason = f"{what} {', '.join(parts)}: a fall of more than {setting} {max_drop:g}"
        return Decision(False, reason, drops, KEEP)
    worst = max(drops, key=lambda name: drops[name])
    said = f"most for {worst}, by {drops[worst]:.4f}" if drops[worst] > 0 else "for none"
    return Decision(True, f"{what} falls {said} (allowed {max_drop:g})", drops, KEEP)


def provenance_gate(champion: Sequence[str], challenger: Sequence[str]) -> Decision:
    """A release that a stand-in had a hand in does not take the place of a real one.

    Args:
        champion: its stages that a stand-in had a hand in.
        challenger: likewise.
    """
    numbers = {"champion_stages": len(champion), "challenger_stages": len(challenger)}
    if challenger and not champion:
        reason = f"a stand-in had a hand in its {' '.join(challenger)}, and in nothing of the champion"
        return Decision(False, reason, numbers, "retrain with the champion's profile")
    return Decision(True, "it is as real as the champion", numbers, KEEP)
