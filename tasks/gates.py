"""Gates: pure decisions that can stop the chain."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """Pass or fail, why, and the numbers that it rests on."""

    ok: bool
    reason: str
    numbers: Mapping[str, float]


def accuracy_gate(accuracy: float, least: float) -> Decision:
    """Is the accuracy (0 to 1) on the evaluation images at least `least`?"""
    ok = accuracy >= least
    word = "reaches" if ok else "is below"
    reason = f"accuracy {accuracy:.4f} {word} evaluate.min_accuracy {least:.4f}"
    return Decision(ok, reason, {"accuracy": accuracy, "min_accuracy": least})
