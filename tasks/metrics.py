"""What an evaluation and a robustness measurement found, as values; `models/evaluation` writes their JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class ClassMetrics:
    """Figures of one class; `support` is the number of its images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class CalibrationBin:
    """Answers with a confidence up to `upper`: how many, their mean confidence, and the share of right ones."""

    upper: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: the image's place in the evaluation file, its true class, the answer and its probability."""

    image: int
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class Metrics:
    """`metrics.json` of an evaluation (`models.evaluation.evaluate.summary`).

    Attributes:
        images: how many were classified.
        accuracy: share of right answers.
        interval: 95 % Wilson interval of the accuracy.
        loss: mean cross-entropy.
        classes: names in the order of the labels.
        per_class: a row a class.
        confusion: counts; rows are true classes, columns answers.
        calibration_error: expected calibration error.
        calibration: bins of equal width.
        mistakes: the wrong answers with the highest probability.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    loss: float
    classes: tuple[str, ...]
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    mistakes: tuple[Mistake, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Metrics:
        """Read the object in `metrics.json`."""
        low, high = value["accuracy_interval_95"]
        return cls(
            images=value["images"],
            accuracy=value["accuracy"],
            interval=(low, high),
            loss=value["loss"],
            classes=tuple(value["classes"]),
            per_class=tuple(
                ClassMetrics(row["class"], row["precision"], row["recall"], row["f1"], row["support"])
                for row in value["per_class"]
            ),
            confusion=tuple(map(tuple, value["confusion_matrix"])),
            calibration_error=value["calibration"]["error"],
            calibration=tuple(CalibrationBin(**row) for row in value["calibration"]["bins"]),
            mistakes=tuple(Mistake(**row) for row in value["confident_mistakes"]),
        )

    @classmethod
    def read(cls, path: Path) -> Metrics:
        """Read `metrics.json`."""
        return cls.from_json(json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Robustness:
    """`robustness.json` of a measurement on corrupted images (`models.evaluation.robustness.summary`).

    Attributes:
        images: in each corrupted set.
        clean_accuracy: on the same images without corruption.
        mean_error: mean corruption error.
        accuracy: corruption to severity (1 to 5) to accuracy.
    """

    images: int
    clean_accuracy: float
    mean_error: float
    accuracy: Mapping[str, Mapping[int, float]]

    @classmethod
    def read(cls, path: Path) -> Robustness:
        """Read `robustness.json`."""
        value = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            value["images"],
            value["clean_accuracy"],
            value["mean_corruption_error"],
            {name: {int(key): share for key, share in row.items()} for name, row in value["accuracy"].items()},
        )
