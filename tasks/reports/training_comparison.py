"""Compare two trainings: settings, curves, and what each class gained, with confidence."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.errors import UserError
from infra.store.runs import Runs
from tasks.engine.diff import Difference, differences
from tasks.metrics import Metrics
from tasks.reports.class_gain import ClassGain, gain
from tasks.reports.inputs import metrics_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from infra.store.receipts import Receipt
    from tasks.engine.chain import Chain

_LISTED = 5
_KEY_DIGITS = 12


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes:
        name: as it was asked for.
        receipt: of stage `train`.
        epochs: the rows of its `history.csv`.
        evaluation: the receipt of stage `evaluate` of its checkpoint, if there is one.
    """

    name: str
    receipt: Receipt
    epochs: tuple[Mapping[str, str], ...]
    evaluation: Receipt | None


@dataclass(frozen=True)
class TrainingComparison:
    """Two trainings beside each other.

    Attributes:
        first: the first training.
        second: the second training.
        differences: ingredients that differ: settings, data, producer; code comes last.
        total: the gain over all images; None unless both were evaluated on the same images.
        classes: the gain of each class; empty likewise.
    """

    first: Training
    second: Training
    differences: tuple[Difference, ...]
    total: ClassGain | None
    classes: tuple[ClassGain, ...]


@dataclass(frozen=True)
class Figures:
    """What a training took and reached; None and empty where it was not evaluated.

    Attributes:
        accuracy: share of right answers, 0 to 1.
        interval: its 95 % interval.
        loss: mean cross-entropy of the evaluation.
        calibration_error: expected calibration error, 0 to 1.
        epochs: that were trained.
        seconds: of the training.
    """

    accuracy: float | None
    interval: tuple[float, float] | None
    loss: float | None
    calibration_error: float | None
    epochs: int
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Title and text of each figure."""
        low, high = self.interval or (0.0, 0.0)
        return [
            ("accuracy", "" if self.accuracy is None else f"{self.accuracy:.2%}"),
            ("95 % interval", "" if self.interval is None else f"{low:.2%} … {high:.2%}"),
            ("loss", "" if self.loss is None else f"{self.loss:.4f}"),
            ("calibration error", "" if self.calibration_error is None else f"{self.calibration_error:.2%}"),
            ("epochs", str(self.epochs)),
            ("training", f"{self.seconds:.1f} s"),
        ]


def figures(chain: Chain, training: Training) -> Figures:
    """Read what a training took and reached."""
    found = None if training.evaluation is None else metrics_of(chain, training.evaluation)
    return Figures(
        None if found is None else found.accuracy,
        None if found is None else found.interval,
        None if found is None else found.loss,
        None if found is None else found.calibration_error,
        len(training.epochs),
        training.receipt.seconds,
    )


def find_training(chain: Chain, name: str) -> Training:
    """Find a training of this home.

    Args:
        chain: has looked at its stages.
        name: `latest` for the one of the present settings, the id of a run, or the first digits of a training's key.

    Raises:
        UserError: nothing, or more than one training, has this name.
    """
    receipt = _receipt(chain, name)
    with chain.store.path(receipt.outputs["history"]).open(newline="", encoding="utf-8") as file:
        rows = tuple(csv.DictReader(file))
    checkpoint = receipt.outputs["checkpoint"].sha256
    evaluations = (
        found for found in chain.receipts.all("evaluate") if found.ingredients["inputs"].get("checkpoint") == checkpoint
    )
    return Training(name, receipt, rows, max(evaluations, key=lambda found: found.finished, default=None))


def compare(chain: Chain, first: Training, second: Training) -> TrainingComparison:
    """Compare two trainings of one home."""
    found = differences(first.receipt.ingredients, second.receipt.ingredients)
    total: ClassGain | None = None
    classes: tuple[ClassGain, ...] = ()
    one, two = _answers(chain, first), _answers(chain, second)
    if one is not None and two is not None and np.array_equal(one.labels, two.labels):
        total = gain("all", one.right, two.right)
        classes = tuple(
            gain(name, one.right[one.labels == index], two.right[one.labels == index])
            for index, name in enumerate(one.classes)
            if (one.labels == index).any()
        )
    return TrainingComparison(first, second, found, total, classes)


def draw(found: TrainingComparison, picture: Path) -> None:
    """Draw the curves of both trainings, and what each class gained.

    Args:
        found: the comparison.
        picture: the PNG file.
    """
    from tasks.figure import drawn
    from tasks.reports.learning_plots import curve

    with drawn(picture, 13, 4.2) as figure:
        loss, accuracy, gains = figure.subplots(1, 3)
        for training, style in ((found.first, "C0"), (found.second, "C1")):
            name = training.name
            curve(loss, training.epochs, "loss", f"{name}, training", color=style, linestyle="--")
            curve(loss, training.epochs, "evaluation_loss", f"{name}, evaluation", color=style)
            curve(accuracy, training.epochs, "accuracy", name, color=style)
        loss.set_ylabel("mean loss")
        accuracy.set_ylabel("accuracy")
        for axes in (loss, accuracy):
            axes.set_xlabel("epoch")
            axes.legend()
            axes.grid(alpha=0.3)
        _draw_gains(gains, [*found.classes, *([] if found.total is None else [found.total])])


def _draw_gains(axes: Any, rows: Sequence[ClassGain]) -> None:
    places = np.arange(len(rows))
    middles = [row.gain * 100 for row in rows]
    ends = [[(row.gain - row.low) * 100 for row in rows], [(row.high - row.gain) * 100 for row in rows]]
    colors = ["C1" if row.certain else "0.7" for row in rows]
    axes.barh(places, middles, color=colors)
    axes.errorbar(middles, places, xerr=np.clip(ends, 0, None), fmt="none", ecolor="0.3", capsize=2)
    axes.set_yticks(places, [row.name for row in rows])
    axes.invert_yaxis()
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_xlabel("gain in points, with 95 % intervals")


def _receipt(chain: Chain, name: str) -> Receipt:
    if name == "latest":
        if "train" in chain.known:
            return chain.known["train"]
        raise UserError("there is no training of the present settings", hint=_hint(chain))
    keys = {
        item.key
        for record in Runs(chain.home).latest()
        if record.id == name
        for item in record.stages
        if item.stage == "train"
    }
    found = [item for item in chain.receipts.all("train") if item.key in keys or item.key.startswith(name)]
    if len(found) != 1:
        problem = "there is no training" if not found else f"{len(found)} trainings have keys that start with"
        raise UserError(f"{problem} '{name}'", hint=_hint(chain))
    return found[0]


def _hint(chain: Chain) -> str:
    last = sorted(chain.receipts.all("train"), key=lambda item: item.finished, reverse=True)[:_LISTED]
    if not last:
        return "`atlasflow run --to evaluate` trains"
    names = ", ".join(item.key[:_KEY_DIGITS] for item in last)
    return f"give a run's id or the start of a training's key; the last ones: {names}"


@dataclass(frozen=True)
class _Answers:
    """Of the evaluation images: true classes int32 [n], whether the answer is right bool [n], and the class names."""

    labels: NDArray[np.int32]
    right: NDArray[np.bool_]
    classes: tuple[str, ...]


def _answers(chain: Chain, training: Training) -> _Answers | None:
    if training.evaluation is None:
        return None
    outputs = training.evaluation.outputs
    with np.load(chain.store.path(outputs["predictions"]), allow_pickle=False) as file:
        labels = file["labels"]
        right = file["logits"].argmax(axis=1) == labels
    return _Answers(labels, right, Metrics.read(chain.store.path(outputs["metrics"])).classes)
