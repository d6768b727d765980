from typing import Any

import numpy as np
import pytest

from models.evaluation import metrics
from models.training import scoring

LOGITS = np.array([[2, 0, 0], [0, 3, 0], [0, 3, 0], [1, 1, 0]], np.float32)
LABELS = np.array([0, 1, 2, 0], np.int32)


def test_the_wilson_interval_has_known_values() -> None:
    assert metrics.wilson_interval(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert metrics.wilson_interval(15, 20) == pytest.approx((0.53130, 0.88814), abs=1e-5)
    assert metrics.wilson_interval(10, 10)[1] == pytest.approx(1.0)


def test_confusion_and_per_class_figures() -> None:
    predicted = LOGITS.argmax(axis=1)
    confusion = metrics.confusion_matrix(predicted, LABELS, 3)
    assert confusion.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    rows = metrics.per_class(confusion, ("a", "b", "c"))
    assert rows[0] == {"class": "a", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}
    assert rows[1]["precision"] == 0.5
    assert rows[1]["f1"] == pytest.approx(2 / 3)
    assert rows[2] == {"class": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_top_accuracy_counts_the_first_places() -> None:
    assert metrics.top_accuracy(LOGITS, LABELS, 1) == scoring.accuracy(LOGITS, LABELS)
    assert metrics.top_accuracy(LOGITS, LABELS, 2) == 0.75
    assert metrics.top_accuracy(LOGITS, LABELS, 3) == 1.0


def test_calibration_of_known_confidences() -> None:
    shares = np.array([[0.88, 0.12], [0.88, 0.12], [0.58, 0.42], [0.52, 0.48]])
    found = metrics.calibration(np.log(shares).astype(np.float32), np.array([0, 1, 0, 0], np.int32), bins=10)
    # 0.88: two images, half right; 0.58 and 0.52 share a bin, both right.
    assert found["error"] == pytest.approx((2 * 0.38 + 2 * 0.45) / 4, abs=1e-6)
    bins: Any = found["bins"]
    assert [row["images"] for row in bins] == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]
    assert bins[8]["accuracy"] == 0.5
    assert bins[8]["confidence"] == pytest.approx(0.88)


def test_the_most_confident_mistakes_come_first() -> None:
    logits = np.array([[5, 0], [0, 1], [0, 4], [3, 0]], np.float32)
    found = metrics.confident_mistakes(logits, np.array([0, 0, 0, 1], np.int32), ("cat", "dog"), count=2)
    assert [(row["image"], row["label"], row["predicted"]) for row in found] == [(2, "cat", "dog"), (3, "dog", "cat")]
    assert found[0]["confidence"] == pytest.approx(1 / (1 + np.exp(-4)))
