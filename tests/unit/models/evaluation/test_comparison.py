import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.evaluation.comparison import compare, compare_files
from models.failures import Damage, InputError

LABELS = np.zeros(40, np.int32)


def answers(right: Any) -> Any:
    """Logits of two classes; class 0 is right."""
    return np.stack([np.asarray(right, np.float32), 1 - np.asarray(right, np.float32)], axis=1)


def test_the_test_has_the_exact_value() -> None:
    # Only the first is right on 10 images, only the second on 2: 2 · (1 + 12 + 66) / 4096.
    one = answers([1] * 10 + [0] * 2 + [1] * 28)
    two = answers([0] * 10 + [1] * 2 + [1] * 28)
    found = compare(one, two, LABELS)
    assert found["p_value"] == pytest.approx(158 / 4096)
    assert (found["only_first_right"], found["only_second_right"]) == (10, 2)
    assert found["agreement"] == pytest.approx(28 / 40)
    assert (found["accuracy_first"], found["accuracy_second"]) == (38 / 40, 30 / 40)


def test_equal_predictions_do_not_differ() -> None:
    one = answers([1, 0] * 20)
    assert compare(one, one, LABELS)["p_value"] == 1.0


def test_thousands_of_differences_do_not_overflow() -> None:
    """2 to the 2,000th is beyond the largest float."""
    labels = np.zeros(2000, np.int32)
    one = answers([1] * 1050 + [0] * 950)
    found = compare(one, 1 - one, labels)
    assert found["p_value"] == pytest.approx(0.026824, abs=1e-6)


def save(path: Any, logits: Any, labels: Any) -> Any:
    np.savez(path, logits=logits, labels=labels)
    return path


def test_files_are_compared(tmp_path: Path) -> None:
    first = save(tmp_path / "a.npz", answers([1] * 40), LABELS)
    second = save(tmp_path / "b.npz", answers([0] * 40), LABELS)
    compare_files(first, second, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["accuracy_second"] == 0.0


def test_other_images_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    first = save(tmp_path / "a.npz", answers([1] * 40), LABELS)
    with pytest.raises(InputError, match="different images"):
        compare_files(first, save(tmp_path / "b.npz", answers([1] * 40), LABELS + 1), tmp_path)
    with pytest.raises(InputError, match=r"none\.npz do not exist"):
        compare_files(first, tmp_path / "none.npz", tmp_path)
    (tmp_path / "c.npz").write_bytes(first.read_bytes()[:50])
    with pytest.raises(Damage, match=r"c\.npz"):
        compare_files(first, tmp_path / "c.npz", tmp_path)
    np.savez(tmp_path / "d.npz", logits=np.zeros(3))
    with pytest.raises(Damage, match=r"d\.npz"):
        compare_files(first, tmp_path / "d.npz", tmp_path)
