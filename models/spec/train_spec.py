"""The value that fixes a training: two trainings of equal specifications on equal data give equal bytes.

Standard library only, so that a command line can check a specification without waiting for MindSpore.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..failures import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": ("momentum", "sgd", "adam", "adamw", "lamb"),
    "schedule": ("constant", "cosine", "square", "exponential", "stage", "one-cycle"),
    "stem": ("native", "3x3", "7x7"),
    "normalisation": ("cifar10", "cifar10-reversed", "cifar10-bgr"),
    "mode": ("graph", "pynative"),
    "precision": ("float32", "mixed"),
}
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "whole numbers, separated by commas",
}


@dataclass(frozen=True)
class TrainSpec:
    """Everything that may change the bytes of a training.

    Attributes:
        network: a name in `models/networks/registry.py`.
        stem: `3x3` or `7x7` for the networks that exist with both; `native` is the one of their paper.
        width: factor of the numbers of channels.
        classes: outputs of the network.
        image_size: height and width in pixels of what the network sees; images of 32 are resized to it.
        epochs: passes over the training images; a last incomplete batch of a pass is dropped
            (docs/reference/tutorials.md T4).
        batch_size: images a step, over all devices.
        optimizer: `momentum` (with `nesterov` if asked), `sgd`, `adam`, `adamw` (MindSpore's, which does not correct
            the bias of the first steps) or `lamb` (not on a CPU).
        momentum: of `momentum`; the others ignore it.
        nesterov: Nesterov's form of momentum.
        learning_rate: the highest learning rate.
        schedule: how the learning rate falls (`models/training/schedules.py`).
        warmup_epochs: linear rise from `warmup_rate` to `learning_rate`.
        warmup_rate: learning rate of the first step when there is a warm-up.
        decay_rate: factor an epoch of `exponential`, factor a milestone of `stage`.
        milestones: epochs after which `stage` lowers the learning rate.
        weight_decay: L2 penalty; decoupled for `adamw` and `lamb`.
        decay_all: False keeps weight decay off biases and normalisation parameters.
        crop: pixels of black padding around an image before a random crop; 0 for none.
        flip: mirror half of the images.
        cutout: side in pixels of a square of mean colour at a random place of each image; 0 for none.
        mixup: parameter of the Beta distribution by which two images are mixed; 0 for none.
        label_smoothing: share of the label that is spread over all classes.
        ema: decay a step of a running mean of the parameters, which is what is evaluated and saved; 0 for none.
        normalisation: a preset in `models/preprocess.py`.
        evaluate_every: epochs between two evaluations; the last epoch is always evaluated.
        seed: of initialisation, order and augmentation.
        mode: `graph` compiles a step; `pynative` runs it operator by operator and shows every layer's output.
        precision: `mixed` computes convolutions and dense layers in float16 (Ascend only).
        sink: let the device fetch the batches by itself (Ascend only).
        new_head: of a checkpoint to start from, leave out the last dense layer, as the classes mean something else.
    """

    network: str = "lenet5"
    stem: str = "native"
    width: float = 1.0
    classes: int = 10
    image_size: int = 32
    epochs: int = 30
    batch_size: int = 32
    optimizer: str = "momentum"
    momentum: float = 0.9
    nesterov: bool = False
    learning_rate: float = 0.01
    schedule: str = "cosine"
    warmup_epochs: int = 0
    warmup_rate: float = 0.0
    decay_rate: float = 0.1
    milestones: tuple[int, ...] = ()
    weight_decay: float = 0.0
    decay_all: bool = True
    crop: int = 4
    flip: bool = True
    cutout: int = 0
    mixup: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    normalisation: str = "cifar10"
    evaluate_every: int = 1
    seed: int = 1
    mode: str = "graph"
    precision: str = "float32"
    sink: bool = False
    new_head: bool = False


FIELDS: dict[str, object] = {field.name: field.default for field in dataclasses.fields(TrainSpec)}


def replaced(spec: TrainSpec, values: Mapping[str, object]) -> TrainSpec:
    """A copy with some fields changed; text is read as the field's type.

    Raises:
        SpecError: an unknown field, or a value that is wrong by itself or beside the others.
    """
    read = {name: _read(name, value) for name, value in values.items()}
    changed = dataclasses.replace(spec, **read)  # type: ignore[arg-type]  # _read gives each field its type
    check(changed)
    return changed


def to_json(spec: TrainSpec) -> str:
    """The canonical text: every field, sorted, no spaces."""
    return json.dumps(dataclasses.asdict(spec), sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> TrainSpec:
    """Read a specification; fields that are not given have their defaults.

    Raises:
        SpecError: no JSON object, or a field is wrong.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"the specification is not JSON: {error}", "give a file, or an object with fields") from error
    if not isinstance(values, dict):
        raise SpecError("the specification is not a JSON object", 'such as {"network": "lenet5", "epochs": 3}')
    return replaced(TrainSpec(), values)


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A hint that names the candidate most like `word`, or all of them."""
    known = sorted(candidates)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"one of {', '.join(known)}"


def check(spec: TrainSpec) -> None:
    """Refuse what can never work, whatever the data.

    Raises:
        SpecError: names the field.
    """
    for name, choices in CHOICES.items():
        value = getattr(spec, name)
        if value not in choices:
            raise SpecError(f"{name}: '{value}' is unknown", nearest(value, choices))
    for name, low, high in _RANGES:
        value = getattr(spec, name)
        if not low <= value <= high:
            raise SpecError(f"{name}: {value} is not between {low:g} and {high:g}", f"the default is {FIELDS[name]}")
    _check_schedule(spec)
    if spec.nesterov and (spec.optimizer != "momentum" or spec.momentum == 0):
        raise SpecError(f"nesterov: {spec.optimizer} {spec.momentum} has no such form", "take optimizer=momentum")
    if spec.sink and spec.mode != "graph":
        raise SpecError("sink: a device fetches batches by itself only for a compiled step", "take mode=graph")


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("classes", 2, 10),  # the labels of CIFAR-10; fewer are for data with fewer
    ("width", 0.125, 8),
    ("image_size", 8, 512),
    ("epochs", 1, 10_000),
    ("batch_size", 1, 65_536),
    ("momentum", 0, 0.9999),
    ("learning_rate", 1e-12, 100),
    ("warmup_epochs", 0, 10_000),
    ("warmup_rate", 0, 100),
    ("decay_rate", 1e-6, 1),
    ("weight_decay", 0, 10),
    ("crop", 0, 16),
    ("cutout", 0, 32),
    ("mixup", 0, 10),
    ("label_smoothing", 0, 0.9),
    ("ema", 0, 0.99999),
    ("evaluate_every", 1, 10_000),
    ("seed", 0, 2**31 - 1),
)


def _check_schedule(spec: TrainSpec) -> None:
    if spec.warmup_epochs and spec.schedule == "one-cycle":
        raise SpecError("warmup_epochs: the one-cycle schedule has a rise of its own", "take warmup_epochs=0")
    if spec.warmup_epochs >= spec.epochs and spec.warmup_epochs:
        raise SpecError(
            f"warmup_epochs: {spec.warmup_epochs} is as long as the run of {spec.epochs} epochs",
            "take fewer warm-up epochs, or more epochs",
        )
    if spec.warmup_rate > spec.learning_rate:
        raise SpecError(f"warmup_rate: {spec.warmup_rate} is above the learning rate {spec.learning_rate}")
    if (spec.schedule == "stage") != bool(spec.milestones):
        raise SpecError("milestones: the schedule stage needs some, the others have none", "such as 30,60")
    if list(spec.milestones) != sorted(set(spec.milestones)):
        raise SpecError(f"milestones: {spec.milestones} do not rise")
    if spec.milestones and not 0 < spec.milestones[0] <= spec.milestones[-1] < spec.epochs:
        raise SpecError(
            f"milestones: {spec.milestones} do not lie inside the run of {spec.epochs} epochs",
            "take earlier milestones, or more epochs",
        )


def _read(name: str, value: object) -> object:
    """Give a field's value the type of the field."""
    if name not in FIELDS:
        raise SpecError(f"{name}: there is no such field in a training specification", nearest(name, FIELDS))
    default = FIELDS[name]
    try:
        if isinstance(default, bool):
            return _boolean(value)
        if isinstance(default, int):
            return _integer(value)
        if isinstance(default, float):
            return _real(value)
        if isinstance(default, tuple):
            return _integers(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpecError(f"{name}: {value!r} is not a value for it", f"take {_KINDS[type(default)]}") from error
    if not isinstance(value, str):
        raise SpecError(f"{name}: {value!r} is not a text")
    return value


def _boolean(value: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError(value)


def _integer(value: object) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(value)
    return int(value)


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _integers(value: object) -> tuple[int, ...]:
    if isinstance(value, str):
        return tuple(int(part) for part in value.split(",") if part.strip())
    if not isinstance(value, (list, tuple)):
        raise TypeError(value)
    return tuple(_integer(part) for part in value)
