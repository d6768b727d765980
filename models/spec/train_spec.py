"""The training specification: equal specifications and equal data give equal bytes.

Standard library only, so that a command line can check a specification without loading MindSpore.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..failures import SpecError
from .values import nearest, read_value

if TYPE_CHECKING:
    from collections.abc import Mapping

CHOICES: dict[str, tuple[str, ...]] = {
    "optimizer": ("momentum", "sgd", "adam", "adamw", "lamb"),
    "schedule": ("constant", "cosine", "square", "exponential", "stage", "one-cycle", "triangle"),
    "stem": ("native", "3x3", "7x7"),
    "mode": ("graph", "pynative"),
    "precision": ("float32", "mixed", "bfloat16"),
    "crop_border": ("black", "mirrored"),
}

NORMALISATIONS = ("cifar10", "cifar10-reversed", "cifar10-bgr", "imagenet", "measured")


@dataclass(frozen=True)
class TrainSpec:
    """All settings that can change the bytes of a training.

    Attributes:
        network: a name in `models/networks/registry.py`, or a class in a file of one's own, `my_net.py:MyNet`.
        network_sha256: of that file.
        stem: first convolution, `3x3` or `7x7`, of the networks that support both; `native` is the one of the paper.
        width: multiplier of the channel counts.
        classes: number of classes.
        image_size: height and width of the network's input in pixels; pictures are brought to it.
        epochs: passes over the training images; the last incomplete batch of each is dropped
            (docs/reference/tutorials.md T4).
        batch_size: images per step over all devices.
        optimizer: `momentum` (optionally `nesterov`), `sgd`, `adam`, `adamw` (MindSpore's, without bias correction
            in the first steps) or `lamb` (Ascend only).
        momentum: coefficient of `momentum`; other optimizers ignore it.
        nesterov: use Nesterov momentum.
        learning_rate: the highest learning rate.
        schedule: decay of the learning rate (`models/training/schedules.py`).
        warmup_epochs: length of the linear rise from `warmup_rate` to `learning_rate`.
        warmup_rate: learning rate of the first warm-up step.
        decay_rate: factor per epoch of `exponential`, factor per milestone of `stage`.
        milestones: epochs after which `stage` lowers the learning rate.
        weight_decay: L2 penalty; decoupled for `adamw` and `lamb`.
        decay_all: False excludes biases and normalisation parameters from weight decay.
        bias_rate: factor of the learning rate of the biases of normalisations, whose weight decay is divided by it.
        crop: pixels of padding before a random crop; 0 switches it off.
        crop_border: the padding is `black`, or the image is continued `mirrored` at its edges.
        flip: mirror half of the images.
        flip_in_turn: mirror the other half in every second epoch, instead of drawing anew.
        cutout: side in pixels of a square of mean colour at a random place of each image; 0 switches it off.
        mixup: alpha of the Beta distribution that weights two mixed images; 0 switches it off.
        label_smoothing: share of the label that is spread over all classes.
        ema: decay per step of the running mean of the parameters, which is evaluated and saved; 0 switches it off.
        lookahead: number of steps after which a slow copy of the parameters moves towards them, more slowly towards
            the end, and they go on from it; the copy is evaluated and saved; 0 switches it off.
        normalisation: a preset in `models/preprocess.py`, `measured` on the training images, or six numbers from 0 to
            1: the means of red, green and blue, then their standard deviations.
        evaluate_every: number of epochs from one evaluation to the next; the last epoch is always evaluated.
        seed: seed of initialisation, order and augmentation.
        mode: `graph` compiles a step; `pynative` runs it operator by operator and prints each layer's output shape.
        precision: `mixed` computes convolutions and dense layers in float16 (Ascend only); `bfloat16` rounds the
            factors of convolutions, with the compiled kernels on a processor that computes with them.
        sink: let the device fetch the batches from its own queue (Ascend only).
        new_head: when starting from a checkpoint, keep the last dense layer at its initial values, for other classes.
        freeze_epochs: epochs at the start in which only the last dense layer learns; the layers before it compute as
            in evaluation, with the normalisation of their own training.
        body_rate: factor of the learning rate of the layers before the last dense layer, after these epochs.
    """

    network: str = "lenet5"
    network_sha256: str = ""
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
    bias_rate: float = 1.0
    crop: int = 4
    crop_border: str = "black"
    flip: bool = True
    flip_in_turn: bool = False
    cutout: int = 0
    mixup: float = 0.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    lookahead: int = 0
    normalisation: str = "cifar10"
    evaluate_every: int = 1
    seed: int = 1
    mode: str = "graph"
    precision: str = "float32"
    sink: bool = False
    new_head: bool = False
    freeze_epochs: int = 0
    body_rate: float = 1.0


FIELDS: dict[str, object] = {field.name: field.default for field in dataclasses.fields(TrainSpec)}


def with_fields(spec: TrainSpec, values: Mapping[str, object]) -> TrainSpec:
    """Return a copy with changed fields; text is converted to the field's type.

    Raises:
        SpecError: a field is unknown, or its value is invalid, alone or together with the other fields.
    """
    for name in values:
        if name not in FIELDS:
            raise SpecError(f"{name}: unknown field of a training specification", nearest(name, FIELDS))
    read = {name: read_value(name, value, FIELDS[name]) for name, value in values.items()}
    changed = dataclasses.replace(spec, **read)  # type: ignore[arg-type]  # read_value returns the field's type
    check(changed)
    return changed


def to_json(spec: TrainSpec) -> str:
    """Return the canonical JSON: all fields, sorted, without spaces."""
    return json.dumps(dataclasses.asdict(spec), sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> TrainSpec:
    """Read a specification; missing fields have their defaults.

    Raises:
        SpecError: the text is not a JSON object, or a field is invalid.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"the specification is not JSON: {error}", "name a file, or pass an object with fields"
        ) from error
    if not isinstance(values, dict):
        raise SpecError("the specification is not a JSON object", 'such as {"network": "lenet5", "epochs": 3}')
    return with_fields(TrainSpec(), values)


def check(spec: TrainSpec) -> None:
    """Check the values that are invalid for any data.

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
    _check_normalisation(spec.normalisation)
    _check_schedule(spec)
    _check_combinations(spec)


def _check_combinations(spec: TrainSpec) -> None:
    if spec.nesterov and (spec.optimizer != "momentum" or spec.momentum == 0):
        raise SpecError(f"nesterov: {spec.optimizer} {spec.momentum} does not support it", "set optimizer=momentum")
    if spec.ema and spec.lookahead:
        raise SpecError("lookahead: it is a running mean of the parameters already, like ema", "set ema=0")
    if spec.flip_in_turn and not spec.flip:
        raise SpecError("flip_in_turn: no image is mirrored", "set flip=true")
    if spec.sink and spec.mode != "graph":
        raise SpecError("sink: a device fetches batches only for a compiled step", "set mode=graph")
    if spec.freeze_epochs >= spec.epochs:
        raise SpecError(
            f"freeze_epochs: {spec.freeze_epochs} is not shorter than the run of {spec.epochs} epochs",
            "freeze fewer epochs, or train for more",
        )
    if spec.lookahead and spec.sink:
        raise SpecError("lookahead: a device that fetches its own batches runs no steps between", "set sink=False")
    if spec.freeze_epochs and spec.sink:
        raise SpecError("freeze_epochs: a device that fetches its own batches keeps one step", "set sink=False")


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("classes", 2, 1000),
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
    ("crop", 0, 128),
    ("cutout", 0, 512),
    ("mixup", 0, 10),
    ("label_smoothing", 0, 0.9),
    ("ema", 0, 0.99999),
    ("lookahead", 0, 10_000),
    ("bias_rate", 1e-6, 1000),
    ("evaluate_every", 1, 10_000),
    ("freeze_epochs", 0, 10_000),
    ("body_rate", 0, 10),
    ("seed", 0, 2**31 - 1),
)


def _check_normalisation(text: str) -> None:
    if text in NORMALISATIONS:
        return
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(f"normalisation: '{text}' is unknown", nearest(text, NORMALISATIONS)) from None
    if len(numbers) != 6 or not all(0 <= mean <= 1 for mean in numbers[:3]) or not all(std > 0 for std in numbers[3:]):
        raise SpecError(
            f"normalisation: '{text}' is not three means from 0 to 1 and three standard deviations above 0",
            "such as 0.485,0.456,0.406,0.229,0.224,0.225",
        )


def _check_schedule(spec: TrainSpec) -> None:
    if spec.warmup_epochs and spec.schedule in ("one-cycle", "triangle"):
        raise SpecError(f"warmup_epochs: the {spec.schedule} schedule has its own warm-up", "set warmup_epochs=0")
    if spec.warmup_epochs >= spec.epochs and spec.warmup_epochs:
        raise SpecError(
            f"warmup_epochs: {spec.warmup_epochs} is not shorter than the run of {spec.epochs} epochs",
            "use fewer warm-up epochs, or more epochs",
        )
    if spec.warmup_rate > spec.learning_rate:
        raise SpecError(f"warmup_rate: {spec.warmup_rate} is above the learning rate {spec.learning_rate}")
    if (spec.schedule == "stage") != bool(spec.milestones):
        raise SpecError("milestones: only the schedule stage has milestones, at least one", "such as 30,60")
    if list(spec.milestones) != sorted(set(spec.milestones)):
        raise SpecError(f"milestones: {spec.milestones} are not in ascending order")
    if spec.milestones and not 0 < spec.milestones[0] <= spec.milestones[-1] < spec.epochs:
        raise SpecError(
            f"milestones: {spec.milestones} are not within the run of {spec.epochs} epochs",
            "use earlier milestones, or more epochs",
        )
