"""The operators one by one, against their public definitions (`REG_OP` in the headers), written out by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from infra.air.operators import OPERATORS
from infra.air.reader import parse
from infra.air.writer import to_air
from tests.unit.infra.air.test_air import CASES

# Type → inputs (`?`: optional), outputs, attributes as `name: type = default` (without a default: required).
DEFINED: Mapping[str, tuple[str, str, Sequence[str]]] = {
    "Data": ("x", "y", ["index: Int = 0"]),
    "Const": ("", "y", ["value: Tensor"]),
    "Conv2D": (
        "x filter bias? offset_w?", "y",
        ["strides: ListInt", "pads: ListInt", "dilations: ListInt = 1,1,1,1", "groups: Int = 1",
         "data_format: String = NHWC", "offset_x: Int = 0"],
    ),
    "BatchNorm": (
        "x scale offset mean? variance?",
        "y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3",
        ["epsilon: Float = 0.0001", "data_format: String = NHWC", "is_training: Bool = true"],
    ),
    "Relu": ("x", "y", []),
    "Sigmoid": ("x", "y", []),
    "Tanh": ("x", "y", []),
    "MaxPoolV3": (
        "x", "y",
        ["ksize: ListInt", "strides: ListInt", "padding_mode: String = CALCULATED", "pads: ListInt = 0,0,0,0",
         "data_format: String = NCHW", "global_pooling: Bool = false", "ceil_mode: Bool = false"],
    ),
    "AvgPoolV2": (
        "x", "y",
        ["ksize: ListInt", "strides: ListInt", "padding_mode: String = CALCULATED", "pads: ListInt = 0,0,0,0",
         "data_format: String = NCHW", "global_pooling: Bool = false", "ceil_mode: Bool = false",
         "exclusive: Bool = true", "divisor_override: Int = 0"],
    ),
    "Add": ("x1 x2", "y", []),
    "Mul": ("x1 x2", "y", []),
    "Pad": ("x paddings", "y", []),
    "ReduceMean": ("x axes", "y", ["keep_dims: Bool = false", "noop_with_empty_axes: Bool = true"]),
    "FlattenV2": ("x", "y", ["axis: Int = 1", "end_axis: Int = -1"]),
    "Reshape": ("x shape", "y", ["axis: Int = 0", "num_axes: Int = -1"]),
    "MatMulV2": (
        "x1 x2 bias? offset_w?", "y",
        ["transpose_x1: Bool = false", "transpose_x2: Bool = false", "offset_x: Int = 0"],
    ),
    "NetOutput": ("x", "", []),
}  # fmt: skip
ATTRIBUTES = [(kind, line) for kind, (_, _, lines) in DEFINED.items() for line in lines]
FIELDS = {"Int": "i", "Float": "f", "Bool": "b", "String": "s", "ListInt": "list", "Tensor": "t"}


def value(kind: str, text: str) -> Any:
    """The default that a definition writes as text."""
    if kind == "Bool":
        return text == "true"
    if kind == "ListInt":
        return tuple(int(item) for item in text.split(","))
    return {"Int": int, "Float": float, "String": str}[kind](text)


def split(line: str) -> tuple[str, str, str]:
    name, _, rest = line.partition(": ")
    kind, _, default = rest.partition(" = ")
    return name, kind, default


def test_no_operator_is_known_beyond_these() -> None:
    assert set(OPERATORS) == set(DEFINED)


@pytest.mark.parametrize("kind", DEFINED)
def test_inputs_and_outputs_are_those_of_the_definition(kind: str) -> None:
    inputs, outputs, lines = DEFINED[kind]
    assert OPERATORS[kind].inputs == tuple(name.rstrip("?") for name in inputs.split())
    assert OPERATORS[kind].optional == tuple(name.rstrip("?") for name in inputs.split() if name.endswith("?"))
    assert OPERATORS[kind].outputs == tuple(outputs.split())
    assert set(OPERATORS[kind].attributes) == {split(line)[0] for line in lines}


@pytest.mark.parametrize(("kind", "line"), ATTRIBUTES, ids=[f"{kind}.{split(line)[0]}" for kind, line in ATTRIBUTES])
def test_each_attribute_has_the_type_and_the_default_of_the_definition(kind: str, line: str) -> None:
    name, type_name, default = split(line)
    assert OPERATORS[kind].attributes[name] == (value(type_name, default) if default else None)
    written = [
        op.attr[name]
        for _, model, *_ in CASES
        for op in parse(to_air(model)).graph[0].op
        if op.type == kind and name in op.attr
    ]
    assert written, "no case writes it"
    assert {attribute.WhichOneof("value") for attribute in written} == {FIELDS[type_name]}
