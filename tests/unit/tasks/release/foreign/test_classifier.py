"""Models of other exporters become ones that boards feed, with the same answers."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from infra.atc.lint import fixes, rules
from infra.atc.lint.findings import Rule, errors
from infra.errors import Corrupt, UserError
from tasks.release.foreign import answers, classifier
from tasks.release.foreign.classifier import Answers, Feed
from tests.unit.infra.atc import foreign

PICTURES = np.random.default_rng(5).integers(0, 256, (6, 3, foreign.SIZE, foreign.SIZE)).astype(np.float32)
CLASSES = {"keras_binary": 2}


def adapted(name: str, **options: Any) -> Any:
    """The user's model, what it is, and the model for boards."""
    model = foreign.MODELS[name]()
    fixed, _ = fixes.apply(model, size=foreign.SIZE, **options)
    reading = classifier.read(fixed, CLASSES.get(name, foreign.CLASSES))
    assert errors(reading.findings) == []
    return model, reading, classifier.adapt(fixed, reading)


@pytest.mark.parametrize("name", foreign.MODELS)
def test_the_adapted_model_takes_planes_and_gives_the_same_answers(name: str) -> None:
    model, reading, made = adapted(name)
    assert rules.lint(made) == []
    onnx.checker.check_model(made, full_check=True)
    (entry,) = made.graph.input
    dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
    assert (entry.name, dims[1:]) == (classifier.INPUT, [3, foreign.SIZE, foreign.SIZE])
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


READINGS = {
    "torch_resnet": (Feed("input", "float32", 3, False, 1, 16), Answers.LOGITS),
    "keras": (Feed("input_1:0", "float32", 3, True, 1, 16), Answers.PROBABILITIES),
    "keras_bytes": (Feed("image_bytes", "uint8", 3, True, 1, 16), Answers.LOGITS),
    "keras_binary": (Feed("x", "float32", 3, True, 1, 16), Answers.PROBABILITY),
    "class_number": (Feed("x", "float32", 3, False, 1, 16), Answers.NUMBER),
    "grey": (Feed("Input3", "float32", 1, False, 1, 16), Answers.LOGITS),
    "batch_of_four": (Feed("x", "float32", 3, False, 4, 16), Answers.LOGITS),
    "half": (Feed("x", "float16", 3, False, 1, 16), Answers.LOGITS),
    "log_probabilities": (Feed("x", "float32", 3, False, 1, 16), Answers.LOGITS),
}


@pytest.mark.parametrize("name", READINGS)
def test_input_and_answers_are_recognised(name: str) -> None:
    _, reading, _ = adapted(name)
    assert (reading.feed, reading.answers) == READINGS[name]


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


def simple(dims: Any, kind: int = TensorProto.FLOAT, outputs: int = foreign.CLASSES) -> onnx.ModelProto:
    graph = foreign.Graph()
    x = graph.node("Flatten", [graph.node("Cast", ["x"], "f", to=TensorProto.FLOAT)], "flat")
    graph.node("Gemm", [x, graph.weight("w", int(np.prod(dims[1:])), outputs)], "y")
    model = graph.model([("x", kind, dims)], [("y", TensorProto.FLOAT, (1, outputs))])
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize(
    ("model", "rule", "part", "remedy"),
    [
        (simple((1, 4, 8, 8)), Rule.INPUT, "no 3 or 1 channels", "3, or 1"),
        (simple((1, 3, 8, 6)), Rule.INPUT, "8 pixels high and 6 wide", "equal height and width"),
        (simple((1, 20)), Rule.INPUT, "x [1, 20]", "[n, 3, height, width]"),
        (simple((1, 3, 8, 8), TensorProto.INT64), Rule.INPUT, "is int64", "float32, float16 or uint8"),
        (simple((1, 3, 8, 8), outputs=6), Rule.OUTPUT, "each of 5 classes: y [1, 6]", "`background`"),
        (simple((1, 3, 8, 8), outputs=3), Rule.OUTPUT, "each of 5 classes: y [1, 3]", "as many classes"),
    ],
)
def test_what_is_no_picture_classifier_is_refused(model: onnx.ModelProto, rule: Rule, part: str, remedy: str) -> None:
    (found,) = errors(classifier.read(model, foreign.CLASSES).findings)
    assert (found.rule, part in found.what, remedy in found.remedy) == (rule, True, True), found


def test_two_pictures_are_refused() -> None:
    graph = foreign.Graph()
    graph.node("Add", ["a", "b"], "y")
    shape = (1, 3, 8, 8)
    model = graph.model([("a", foreign.FLOAT, shape), ("b", foreign.FLOAT, shape)], [("y", foreign.FLOAT, shape)])
    found = errors(classifier.read(model, foreign.CLASSES).findings)
    assert "a [1, 3, 8, 8], b [1, 3, 8, 8]" in found[0].what


@pytest.mark.parametrize("name", ["torch_resnet", "keras", "class_number"])
def test_a_changed_answer_is_noticed(name: str) -> None:
    model, reading, made = adapted(name)
    (weight, *_) = (item for item in made.graph.initializer if len(item.dims) == 2)
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(-values, weight.name))
    tensor = PICTURES / 255
    own = answers.own_answers(answers.session(model.SerializeToString(), name), reading, tensor)
    found = answers.logits(answers.session(made.SerializeToString(), name), tensor, 1)
    with pytest.raises(Corrupt, match=f"{name} "):
        answers.check_same(reading, own, found, name)


def test_a_file_that_onnx_runtime_cannot_load_is_named() -> None:
    node = helper.make_node("Nothing", ["x"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(UserError, match=r"cannot load m\.onnx"):
        answers.session(model.SerializeToString(), "m.onnx")
