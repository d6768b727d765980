"""What a model of another exporter takes and answers, and which ones are refused."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from infra.atc.lint.findings import Rule, errors
from tasks.release.foreign import classifier
from tasks.release.foreign.classifier import Answers, Feed
from tests.unit.infra.atc import foreign
from tests.unit.tasks.release.foreign.models import adapted

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
