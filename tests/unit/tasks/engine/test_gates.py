import math

import pytest

from tasks.engine.gates import accuracy_gate, parity_gate
from tasks.release.ledger import Ledger
from tests.unit.tasks.doubles import ledger


@pytest.mark.parametrize(("accuracy", "least", "ok"), [(0.5, 0.5, True), (0.51, 0.5, True), (0.4999, 0.5, False)])
def test_the_bound_itself_passes(accuracy: float, least: float, ok: bool) -> None:
    decision = accuracy_gate(accuracy, least)
    assert decision.ok is ok
    assert decision.numbers == {"accuracy": accuracy, "min_accuracy": least}


def test_the_reason_names_both_numbers_and_the_setting() -> None:
    assert accuracy_gate(0.4321, 0.5).reason == "accuracy 0.4321 is below evaluate.min_accuracy 0.5000"
    assert accuracy_gate(0.5555, 0.5).reason == "accuracy 0.5555 reaches evaluate.min_accuracy 0.5000"


def test_not_a_number_does_not_pass() -> None:
    assert not accuracy_gate(math.nan, 0.0).ok


def test_parity_passes_where_each_chip_has_a_model() -> None:
    decision = parity_gate(Ledger.from_json(ledger(socs=("Ascend310", "Ascend310B4"))))
    assert decision.ok
    assert decision.reason == (
        "Ascend310 force_fp16 agrees on 1.0000 of 20 images; Ascend310B4 force_fp16 agrees on 1.0000 of 20 images"
    )
    assert decision.numbers["onnx"] == 1.0


def test_parity_fails_with_the_hop_and_what_is_wrong_with_it() -> None:
    decision = parity_gate(Ledger.from_json(ledger(precision=None)))
    assert not decision.ok
    assert decision.reason == "onnx → Ascend310 force_fp16: agreement 0.5000 is below 0.9800; worst is cat"
    assert "convert.precisions" in decision.hint


def test_parity_fails_where_the_export_is_wrong_even_if_a_model_passes() -> None:
    book = ledger()
    book["hops"][0]["objection"] = "agreement 0.9 is below 0.98; worst is dog"
    decision = parity_gate(Ledger.from_json(book))
    assert not decision.ok
    assert decision.reason.startswith("checkpoint → onnx: agreement 0.9")


def test_an_export_that_is_not_compiled_does_not_stop_the_chain() -> None:
    book = ledger()
    book["hops"].append({**book["hops"][0], "to": "mindir", "objection": "agreement 0.9 is below 0.98"})
    assert parity_gate(Ledger.from_json(book)).ok


def test_what_was_not_compared_passes_and_is_said() -> None:
    decision = parity_gate(Ledger.from_json(ledger(whole=None, reason="compiled for hardware")))
    assert decision.ok
    assert decision.reason == "Ascend310 force_fp16 is not compared here (compiled for hardware)"
    assert decision.numbers == {}
