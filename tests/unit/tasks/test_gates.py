import math

import pytest

from tasks.gates import accuracy_gate


@pytest.mark.parametrize(("accuracy", "least", "ok"), [(0.5, 0.5, True), (0.51, 0.5, True), (0.4999, 0.5, False)])
def test_the_bound_itself_passes(accuracy, least, ok):
    decision = accuracy_gate(accuracy, least)
    assert decision.ok is ok
    assert decision.numbers == {"accuracy": accuracy, "min_accuracy": least}


def test_the_reason_names_both_numbers_and_the_setting():
    assert accuracy_gate(0.4321, 0.5).reason == "accuracy 0.4321 is below evaluate.min_accuracy 0.5000"
    assert accuracy_gate(0.5555, 0.5).reason == "accuracy 0.5555 reaches evaluate.min_accuracy 0.5000"


def test_not_a_number_does_not_pass():
    assert not accuracy_gate(math.nan, 0.0).ok
