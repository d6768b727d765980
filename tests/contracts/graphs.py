"""A hundred small graphs with the compiler's expected verdict: a code, or nothing for one that compiles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CODES_OF_OPSETS = "E19010"  # of the generation that the stand-in plays by default
SHAPE = (1, 3, 8, 8)


@dataclass(frozen=True)
class Case:
    """A graph, the options beside model, output and chip, and the code that is expected; empty when it compiles."""

    name: str
    model: onnx.ModelProto
    code: str = ""
    options: tuple[str, ...] = ()


def _weights(*shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), "w")


# Operator → attributes and weights; each means the same in opsets 8 to 18.
_GOOD: dict[str, tuple[dict[str, object], onnx.TensorProto | None]] = {
    "Relu": ({}, None),
    "Sigmoid": ({}, None),
    "Conv": ({"kernel_shape": [3, 3]}, _weights(4, 3, 3, 3)),
    "MaxPool": ({"kernel_shape": [2, 2], "strides": [2, 2]}, None),
    "GlobalAveragePool": ({}, None),
    "Add": ({}, _weights(1, 3, 1, 1)),
}


def _model(
    nodes: Sequence[onnx.NodeProto],
    opset: int = 11,
    weights: Sequence[onnx.TensorProto] = (),
    kind: int = TensorProto.FLOAT,
    shape: Sequence[int | str] = SHAPE,
    imports: Sequence[onnx.OperatorSetIdProto] = (),
) -> onnx.ModelProto:
    ends = [
        helper.make_tensor_value_info("image", kind, shape),
        helper.make_tensor_value_info("logits", kind, [f"d{index}" for index in range(4)]),
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *imports], ir_version=4)


def _one(kind: str, opset: int = 11, domain: str = "") -> onnx.ModelProto:
    attributes, weights = _GOOD.get(kind, ({}, None))
    inputs = ["image", *(["w"] if weights is not None else [])]
    node = helper.make_node(kind, inputs, ["logits"], name="only", domain=domain, **attributes)
    imports = [helper.make_opsetid(domain, 1)] if domain else []
    return _model([node], opset, [weights] if weights is not None else [], imports=imports)


def cases() -> Iterator[Case]:
    """All of them."""
    for opset in range(8, 19):
        for kind in _GOOD:
            yield Case(f"{kind} in opset {opset}", _one(kind, opset))
    for opset in (5, 6, 7, 19, 20, 21, 22):
        for kind in ("Relu", "Conv"):
            yield Case(f"{kind} in opset {opset}", _one(kind, opset), CODES_OF_OPSETS)
    for kind, domain in (("Convolute", ""), ("Softmax9", ""), ("Gelu", "com.microsoft"), ("Add", "ours")):
        yield Case(f"{domain}::{kind}", _one(kind, domain=domain), CODES_OF_OPSETS)
    yield from _broken()
    yield from _asked_wrongly()


def _changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = _one("Conv")
    change(model)
    return model


def _broken() -> Iterator[Case]:
    yield Case("no operator", _changed(lambda net: net.graph.ClearField("node")), "E16001")
    yield Case("no input", _changed(lambda net: net.graph.ClearField("input")), "E16001")
    yield Case("no output", _changed(lambda net: net.graph.ClearField("output")), "E16001")
    yield Case("no graph", _changed(lambda net: net.ClearField("graph")), "E16004")
    yield Case("an input that nobody makes", _changed(lambda net: net.graph.node[0].input.append("x")), "E10041")
    narrow = numpy_helper.from_array(np.ones((4, 2, 3, 3), np.float32), "w")
    yield Case("weights for two channels", _changed(lambda net: net.graph.initializer[0].CopyFrom(narrow)), "E14001")
    yield Case("text", _model([helper.make_node("Identity", ["image"], ["logits"])], kind=TensorProto.STRING), "EZ3002")
    yield Case("any batch, not named", _model([_one("Relu").graph.node[0]], shape=("n", 3, 8, 8)), "E11005")
    two = [helper.make_opsetid("ai.onnx", 12)]
    yield Case("two versions of the operators", _model([_one("Relu").graph.node[0]], imports=two), "E16005")


def _asked_wrongly() -> Iterator[Case]:
    relu = _one("Relu")
    for code, option in (
        ("E10016", "--input_shape=picture:1,3,8,8"),
        ("E10017", "--input_shape=only:1,3,8,8"),
        ("E10049", "--input_shape=image:3,8,8"),
        ("E10002", "--input_shape=1,3,8,8"),
        ("E10011", "--input_shape=image:0,3,8,8"),
        ("E11017", "--out_nodes=none:0"),
        ("E10001", "--precision_mode=half"),
        ("E10035", "--dynamic_batch_size=1"),
    ):
        shape = () if option.startswith("--input_shape") else ("--input_shape=image:1,3,8,8",)
        if option.startswith("--dynamic"):
            shape = ("--input_shape=image:-1,3,8,8",)
        yield Case(option, relu, code, (*shape, option))
