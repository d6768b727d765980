import numpy as np
import pytest

from models.training import scoring

LOGITS = np.array([[2, 0, 0], [0, 3, 0], [0, 3, 0], [1, 1, 0]], np.float32)
LABELS = np.array([0, 1, 2, 0], np.int32)


def test_accuracy_gives_ties_to_the_smaller_number() -> None:
    assert scoring.accuracy(LOGITS, LABELS) == 0.75


def test_cross_entropy() -> None:
    powers = np.exp(LOGITS.astype(float))
    expected = -np.log(powers[range(4), LABELS] / powers.sum(axis=1)).mean()
    assert scoring.cross_entropy(LOGITS, LABELS) == pytest.approx(expected)
    assert np.isfinite(scoring.cross_entropy(LOGITS * 1e4, LABELS))
