"""Models of other exporters become ones that boards feed, with the same answers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from infra.atc.lint import rules
from infra.atc.lint.findings import Rule
from tasks.release.foreign import adapt, answers
from tests.unit.infra.atc import foreign
from tests.unit.tasks.release.foreign.models import CLASSES, PICTURES, adapted


@pytest.mark.parametrize("name", foreign.MODELS)
def test_the_adapted_model_takes_planes_and_gives_the_same_answers(name: str) -> None:
    model, reading, made = adapted(name)
    assert rules.lint(made) == []
    onnx.checker.check_model(made, full_check=True)
    (entry,) = made.graph.input
    dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    assert (entry.name, dims[1:]) == (adapt.INPUT, [3, foreign.SIZE, foreign.SIZE])
    assert entry.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
    assert len(made.graph.output) == 1
    for node in model.graph.node:
        node.name = ""
    tensor = PICTURES if reading.feed.dtype == "uint8" else PICTURES / 255
    own = answers.own_answers(answers.session(model.SerializeToString(), name), reading, tensor)
    found = answers.logits(answers.session(made.SerializeToString(), name), tensor, dims[0])
    assert found.shape == (len(tensor), CLASSES.get(name, foreign.CLASSES))
    answers.check_same(reading, own, found, name)
    again = answers.as_logits(reading, own, found)
    assert (again.argmax(axis=1) == found.argmax(axis=1)).all()
    np.testing.assert_allclose(again, found, rtol=0.02, atol=0.02)


CHANGES = {
    "keras": [(Rule.OUTPUT, "ends with Softmax"), (Rule.INPUT, "channels last (NHWC)")],
    "keras_bytes": [(Rule.INPUT, "channels last (NHWC)"), (Rule.INPUT, "uint8")],
    "keras_binary": [(Rule.OUTPUT, "ends with Sigmoid"), (Rule.INPUT, "channels last (NHWC)")],
    "several_outputs": [(Rule.OUTPUT, "more outputs: features, aux"), (Rule.NAMES, "called 'x'")],
    "class_number": [(Rule.OUTPUT, "answers with the number"), (Rule.NAMES, "called 'x'")],
    "grey": [(Rule.INPUT, "grey pictures")],
    "idle_input": [(Rule.INPUT, "nothing reads: keras_learning_phase:0"), (Rule.NAMES, "called 'x'")],
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_said(name: str) -> None:
    _, reading, _ = adapted(name)
    said = [(item.rule, item.what) for item in reading.findings]
    assert [rule for rule, _ in said] == [rule for rule, _ in CHANGES[name]]
    assert all(part in what for (_, what), (_, part) in zip(said, CHANGES[name], strict=True))
    assert all(item.remedy for item in reading.findings)


def test_an_open_batch_stays_open() -> None:
    _, reading, made = adapted("torch_resnet", batch=0)
    assert reading.feed.batch == 0
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 0
    tensor = PICTURES / 255
    assert answers.logits(answers.session(made.SerializeToString(), ""), tensor, 0).shape == (6, foreign.CLASSES)
