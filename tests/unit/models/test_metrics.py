import numpy as np
import pytest

from models import metrics

LOGITS = np.array([[2, 0, 0], [0, 3, 0], [0, 3, 0], [1, 1, 0]], np.float32)
LABELS = np.array([0, 1, 2, 0], np.int32)


def test_accuracy_gives_ties_to_the_smaller_number():
    assert metrics.accuracy(LOGITS, LABELS) == 0.75


def test_cross_entropy():
    powers = np.exp(LOGITS.astype(float))
    expected = -np.log(powers[range(4), LABELS] / powers.sum(axis=1)).mean()
    assert metrics.cross_entropy(LOGITS, LABELS) == pytest.approx(expected)
    assert np.isfinite(metrics.cross_entropy(LOGITS * 1e4, LABELS))


def test_the_wilson_interval_has_known_values():
    assert metrics.wilson_interval(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert metrics.wilson_interval(15, 20) == pytest.approx((0.53130, 0.88814), abs=1e-5)
    assert metrics.wilson_interval(10, 10)[1] == pytest.approx(1.0)


def test_confusion_and_per_class_figures():
    predicted = LOGITS.argmax(axis=1)
    confusion = metrics.confusion_matrix(predicted, LABELS, 3)
    assert confusion.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    rows = metrics.per_class(confusion, ("a", "b", "c"))
    assert rows[0] == {"class": "a", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}
    assert rows[1]["precision"] == 0.5
    assert rows[1]["f1"] == pytest.approx(2 / 3)
    assert rows[2] == {"class": "c", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
