"""Signs in the epochs of a training that it will not learn, with what helps.

Kept apart from the train stage, so that better rules change no key of a training.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.ports.training import Epoch

_CHANCE = 0.98
"""Part of the loss of guessing, ln(classes), above which nothing is learned."""
_RISE = 1.25
"""Loss over the lowest one so far that counts as divergence, when it rose twice in a row."""
_FLAT_LOSS = 0.01
"""Relative fall of the loss that a plateau stays below."""
_FLAT_ACCURACY = 0.003
_WORSE = 0.01
"""Loss of accuracy that counts as overfitting."""
_FIRST = 3
"""Epochs before which nothing is said about guessing."""
_LEAST = 5
"""Epochs that a plateau, or overfitting, lasts at least; for long trainings a fifth of all."""
_FINDER = "`atlasflow show learning-rate` suggests one"


class Trouble(StrEnum):
    """What a training shows."""

    DIVERGES = "diverges"
    GUESSES = "guesses"
    PLATEAU = "plateau"
    OVERFITS = "overfits"


@dataclass(frozen=True)
class Sign:
    """A sign of trouble.

    Attributes:
        trouble: its kind.
        epoch: after which it is visible.
        text: what is seen, with the figures.
        advice: what helps.
    """

    trouble: Trouble
    epoch: int
    text: str
    advice: str


def find_signs(epochs: Sequence[Epoch], spec: Mapping[str, object]) -> tuple[Sign, ...]:
    """Find the signs of trouble in a training, each kind once, in the order in which they show.

    Args:
        epochs: the epochs so far, in order.
        spec: the canonical training specification.
    """
    found: dict[Trouble, Sign] = {}
    for end in range(1, len(epochs) + 1):
        for sign in signs_at(epochs[:end], spec):
            found.setdefault(sign.trouble, sign)
    return tuple(found.values())


def signs_at(epochs: Sequence[Epoch], spec: Mapping[str, object]) -> list[Sign]:
    """Find the signs that the last of these epochs shows; the arguments are those of `find_signs`."""
    warmup = sum(int(str(spec.get(name, 0))) for name in ("warmup_epochs", "freeze_epochs"))  # 0.1 froze nothing
    last = epochs[-1]
    guess = math.log(max(2, int(str(spec["classes"]))))
    if _diverges(epochs, guess, warmup):
        text = f"the loss is {last.loss:.3f} after {min(item.loss for item in epochs):.3f}, and rises"
        advice = f"Stop, and set a lower train.learning_rate than {spec['learning_rate']}; {_FINDER}"
        return [Sign(Trouble.DIVERGES, last.epoch, text, advice)]
    if last.epoch >= max(_FIRST, warmup + 1) and min(item.loss for item in epochs) > _CHANCE * guess:
        text = f"the loss is still {last.loss:.3f}; guessing gives {guess:.3f}"
        advice = f"Check labels and pictures with `atlasflow show samples`, and the learning rate: {_FINDER}"
        return [Sign(Trouble.GUESSES, last.epoch, text, advice)]
    return [sign for sign in (_plateau(epochs, spec), _overfits(epochs)) if sign is not None]


def _diverges(epochs: Sequence[Epoch], guess: float, warmup: int) -> bool:
    """True when the loss is twice that of guessing after the warm-up, or rose twice, far above the lowest so far."""
    losses = [item.loss for item in epochs]
    if epochs[-1].epoch > warmup + 1 and losses[-1] > 2 * guess:
        return True
    return len(losses) > _FIRST and losses[-1] > losses[-2] > losses[-3] and losses[-1] > _RISE * min(losses)


def _window(epochs: Sequence[Epoch]) -> int:
    return max(_LEAST, epochs[-1].epochs // 5)


def _evaluated(epochs: Sequence[Epoch]) -> list[tuple[int, float]]:
    return [(item.epoch, item.accuracy) for item in epochs if item.accuracy is not None]


def _plateau(epochs: Sequence[Epoch], spec: Mapping[str, object]) -> Sign | None:
    """Loss and accuracy stay where they were for a fifth of the training, while its rate stays, too."""
    last, window = epochs[-1], _window(epochs)
    if spec["schedule"] != "constant" or last.epoch <= window or last.epoch == last.epochs:
        return None
    before = [item for item in epochs if item.epoch <= last.epoch - window]
    then, now = min(item.loss for item in before), min(item.loss for item in epochs)
    scores = _evaluated(epochs)
    old = [accuracy for epoch, accuracy in scores if epoch <= last.epoch - window]
    if not old or now < then * (1 - _FLAT_LOSS) or max(accuracy for _, accuracy in scores) > max(old) + _FLAT_ACCURACY:
        return None
    text = f"loss and accuracy have not changed for {window} epochs ({now:.3f}, {max(old) * 100:.1f} %)"
    return Sign(Trouble.PLATEAU, last.epoch, text, "A rate that falls helps: train.schedule=cosine")


def _overfits(epochs: Sequence[Epoch]) -> Sign | None:
    """The accuracy stays below its best for a fifth of the training, while the training loss falls."""
    last, window = epochs[-1], _window(epochs)
    scores = _evaluated(epochs)
    old = [accuracy for epoch, accuracy in scores if epoch <= last.epoch - window]
    new = [accuracy for epoch, accuracy in scores if epoch > last.epoch - window]
    before = [item.loss for item in epochs if item.epoch <= last.epoch - window]
    if not old or len(new) < 2 or max(new) > max(old) - _WORSE or last.loss > min(before) * (1 - _FLAT_LOSS):
        return None
    text = f"the accuracy fell from {max(old) * 100:.1f} to {max(new) * 100:.1f} % at best, while the loss fell"
    advice = "Use fewer epochs, or more variation: train.crop, train.flip, train.cutout, train.label_smoothing"
    return Sign(Trouble.OVERFITS, last.epoch, text, advice)
