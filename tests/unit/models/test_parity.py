"""The arithmetic of parity, against values worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest

from models import parity

NAMES = ("cat", "dog")
EXPECTED = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.5, 1.0]])
LABELS = np.array([0, 1, 1, 1])


def test_the_same_logits_agree_wholly() -> None:
    numbers = parity.compare(EXPECTED, EXPECTED.astype(np.float32), LABELS, NAMES)
    assert (numbers["agreement"], numbers["max_difference"], numbers["accuracy_drop"]) == (1.0, 0.0, 0.0)
    assert numbers["cosine"] == pytest.approx(1.0, abs=1e-15)
    assert numbers["accuracy"] == 0.75
    assert parity.failure_reason(numbers, 1.0, 0.0) is None


def test_each_figure_is_what_its_definition_says() -> None:
    found = EXPECTED.copy()
    found[1] = [4.0, 3.0]  # was right, is wrong now; differs by 4
    numbers = parity.compare(EXPECTED, found, LABELS, NAMES)
    assert (numbers["images"], numbers["not_finite"]) == (4, 0)
    assert (numbers["agreement"], numbers["accuracy"], numbers["accuracy_drop"]) == (0.75, 0.5, 0.25)
    assert numbers["max_difference"] == 4.0
    assert numbers["cosine"] == pytest.approx((3 + 9 / (3 * 5)) / 4)
    cat, dog = numbers["per_class"]
    assert (cat["class"], cat["images"], cat["agreement"], cat["accuracy_drop"]) == ("cat", 1, 1.0, 0.0)
    assert (dog["class"], dog["images"], dog["agreement"]) == ("dog", 3, pytest.approx(2 / 3))
    assert parity.worst_class(numbers) is dog


def test_a_better_answer_is_a_disagreement_and_a_negative_drop() -> None:
    found = EXPECTED.copy()
    found[2] = [0.0, 1.0]
    numbers = parity.compare(EXPECTED, found, LABELS, NAMES)
    assert (numbers["agreement"], numbers["accuracy_drop"]) == (0.75, -0.25)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_image_with_nan_or_infinite_logits_is_a_disagreement(value: Any) -> None:
    found = EXPECTED.copy()
    found[0, 1] = value
    numbers = parity.compare(EXPECTED, found, LABELS, NAMES)
    assert (numbers["not_finite"], numbers["agreement"], numbers["accuracy"]) == (1, 0.75, 0.5)
    assert numbers["max_difference"] is None
    assert numbers["cosine"] == pytest.approx(0.75)
    reason = parity.failure_reason(numbers, 0.0, 1.0)
    assert reason is not None
    assert "1 of 4 images have NaN or infinite logits" in reason


def test_an_objection_names_bound_and_worst_class() -> None:
    found = EXPECTED.copy()
    found[1] = [4.0, 3.0]
    numbers = parity.compare(EXPECTED, found, LABELS, NAMES)
    said = parity.failure_reason(numbers, 0.99, 0.01)
    assert said == (
        "agreement 0.7500 is below 0.9900, accuracy falls by 0.2500, more than 0.0100; "
        "worst is dog (agreement 0.6667 on 3 images)"
    )
    assert parity.failure_reason(numbers, 0.75, 0.25) is None
    assert parity.failure_reason(numbers, 0.75, 0.2499) is not None


def test_classes_without_images_are_left_out() -> None:
    numbers = parity.compare(EXPECTED, EXPECTED, np.ones(4), ("cat", "dog", "frog"))
    assert [row["class"] for row in numbers["per_class"]] == ["dog"]


def test_the_cosine_of_huge_and_of_zero_logits_is_a_number() -> None:
    huge = parity.compare(EXPECTED, EXPECTED * 1e200, LABELS, NAMES)
    assert huge["cosine"] == pytest.approx(1.0)
    assert parity.compare(EXPECTED, EXPECTED * 0, LABELS, NAMES)["cosine"] == 0.0


@pytest.mark.parametrize("found", [EXPECTED[:3], EXPECTED[:, :1], EXPECTED[0]])
def test_other_shapes_are_refused(found: Any) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        parity.compare(EXPECTED, found, LABELS, NAMES)
