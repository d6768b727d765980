"""Suggest settings for a folder of pictures: size, network, batch, epochs and gate, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = 600  # of a training that takes a minute or two on two cores
_EVALUATIONS = 10
_FEW_CLASSES = 20  # half of the width is enough for them, at a quarter of the work
_EVAL_SHARE = 0.2


@dataclass(frozen=True)
class Choice:
    """A setting, its value as TOML, and why."""

    name: str
    value: str
    reason: str


def suggest(pictures: int, classes: int, sides: Sequence[int]) -> list[Choice]:
    """Suggest the settings of a project.

    Args:
        pictures: their number.
        classes: their number.
        sides: the shorter side of some pictures in pixels.
    """
    side = round(median(sides))
    size = 32 if side < 48 else 64
    train = max(1, round(pictures * (1 - _EVAL_SHARE)))
    batch = next((batch for batch in (32, 16, 8) if train >= 10 * batch), 4)
    steps = max(1, train // batch)
    epochs = max(3, min(60, round(_STEPS / steps)))
    width = "0.5" if classes <= _FEW_CLASSES else "1.0"
    every = max(1, epochs // _EVALUATIONS)
    gate = round((1 + 1 / classes) / 2, 2)
    return [
        Choice("image_size", str(size), f"half of the pictures are at least {side} pixels wide and high"),
        Choice("network", '"compact"', "trains in minutes on a CPU; `atlasflow profile` measures it"),
        Choice("width", width, f"{'half' if width == '0.5' else 'all'} of its channels, for {classes:,} classes"),
        Choice("classes", str(classes), "as many as the data have"),
        Choice("normalisation", '"measured"', "mean and standard deviation of the training pictures"),
        Choice("batch_size", str(batch), f"{train:,} training pictures make {steps:,} steps of an epoch"),
        Choice("learning_rate", f"{0.05 * batch / 32:g}", "in proportion to the batch: 0.05 for 32 pictures"),
        Choice("epochs", str(epochs), f"about {epochs * steps:,} steps in all"),
        Choice("evaluate_every", str(every), "epochs from one evaluation to the next"),
        Choice("crop", str(size // 8), "shifts each picture by up to an eighth"),
        Choice("flip", "true", "mirrors half of the pictures; false where left and right differ, as in texts"),
        Choice("evaluate.min_accuracy", str(gate), f"half-way between guessing, {1 / classes:.2f}, and always right"),
    ]
