"""The ONNX graph of the stand-in: load it with ATC's checks, set shapes, choose outputs."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, shape_inference

from infra.atc.codes import AtcError
from infra.atc.emulator.shapes import Gears, at_gear
from infra.atc.generations import Generation

ACL_TYPES: Mapping[int, int] = {
    TensorProto.FLOAT: 0, TensorProto.FLOAT16: 1, TensorProto.INT8: 2, TensorProto.INT32: 3, TensorProto.UINT8: 4,
    TensorProto.INT16: 6, TensorProto.UINT16: 7, TensorProto.UINT32: 8, TensorProto.INT64: 9, TensorProto.UINT64: 10,
    TensorProto.DOUBLE: 11, TensorProto.BOOL: 12,
}  # fmt: skip
"""ONNX element type → ACL dtype code (docs/reference/pyacl.md §4.2)."""

Checked = tuple[str, str, AtcError | None]
"""An operator's name and type, and what is wrong with it."""


def load(path: Path) -> onnx.ModelProto:
    """Read and check an ONNX file.

    Raises:
        AtcError: E10041, E16001, E16004 or E16005.
    """
    try:
        model = onnx.load(path)
    except (DecodeError, OSError, onnx.checker.ValidationError) as error:
        raise AtcError("E10041", parameter=path) from error
    if not model.HasField("graph"):
        raise AtcError("E16004")
    if not model.graph.node:
        raise AtcError("E16001", value="operator")
    if not model.graph.output:
        raise AtcError("E16001", value="output")
    domains = [item for item in model.opset_import if item.domain in ("", "ai.onnx")]
    if len(domains) != 1:
        raise AtcError("E16005", domain_version_num=len(domains))
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in weights]:
        model.graph.input.remove(value)  # older files list their weights as inputs too
    if not model.graph.input:
        raise AtcError("E16001", value="input")
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"  # the parser's name for unnamed nodes
    return model


def check_operators(model: onnx.ModelProto, path: Path, cann: Generation) -> list[Checked]:
    """Name, type and error of each operator: E16002, E19010 or EZ3003.

    Raises:
        AtcError: E10041.
    """
    opset = opset_of(model)
    try:
        nodes = model.graph.node
        checked: list[Checked] = [(node.name, node.op_type, _operator_error(node, opset, cann)) for node in nodes]
        if all(error is None for *_, error in checked):
            onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        # The last two: names that are not UTF-8, on which ONNX's functions fail.
        raise AtcError("E10041", parameter=path) from error
    return checked


def _operator_error(node: onnx.NodeProto, opset: int, cann: Generation) -> AtcError | None:
    foreign = node.domain not in ("", "ai.onnx")
    if foreign or opset not in cann.opsets or not onnx.defs.has(node.op_type, opset, ""):
        return AtcError(
            cann.unknown_operator, opname=node.name, optype=f"{node.domain or 'ai.onnx'}::{opset}::{node.op_type}"
        )
    if any(item.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for item in node.attribute):
        return AtcError("EZ3003", opname=node.name, optype=node.op_type)
    return None


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard ONNX operator set."""
    return int(next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx")))


def inputs_of(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """The inputs by name, in order."""
    return {value.name: value for value in model.graph.input}


def dims_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Dimensions of a tensor, -1 for an open one."""
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim)


def check_names(model: onnx.ModelProto, names: Sequence[str], option: str) -> None:
    """Raise E10016 for a name that the graph does not have, E10017 for a node that is not an input."""
    nodes = {node.name for node in model.graph.node}
    for name in names:
        if name in inputs_of(model):
            continue
        raise AtcError("E10017" if name in nodes else "E10016", opname=name, parameter=option)


def input_shapes(model: onnx.ModelProto, given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shape of every input: the given one, else the graph's.

    Raises:
        AtcError: E10016, E10017, E10049 for a wrong number of dimensions, E11005 for an open shape that was not given.
    """
    check_names(model, list(given), "input_shape")
    shapes = {}
    for name, value in inputs_of(model).items():
        own = dims_of(value)
        shape = given.get(name, own)
        if len(shape) != len(own):
            raise AtcError("E10049", shape_range_size=len(shape), cur_dim_size=len(own))
        if name not in given and -1 in own:
            raise AtcError("E11005", input=name)
        shapes[name] = shape
    return shapes


def set_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write the shapes into the graph's inputs (-1 becomes a named dimension) and remove all inferred shapes."""
    graph = model.graph
    for name, value in inputs_of(model).items():
        dims = [f"{name}_{index}" if dim == -1 else dim for index, dim in enumerate(shapes[name])]
        value.CopyFrom(helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, dims))
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the graph with the type and shape of every tensor; raises E14001 or E19999 for inconsistent shapes."""
    try:
        inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise AtcError("E19999", reason=f"the shapes are inconsistent: {' '.join(str(error).split())}") from error
    graph = inferred.graph
    known = {value.name: dims_of(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    known.update({tensor.name: tuple(tensor.dims) for tensor in graph.initializer})
    for node in graph.node:
        _check_fit(node, known)
    return inferred


def _check_fit(node: onnx.NodeProto, known: Mapping[str, tuple[int, ...]]) -> None:
    """Raise E14001 for errors that ONNX's inference misses: Reshape, Conv's channels, Gemm's inner dimension."""
    shapes = [known.get(item, ()) for item in (*node.input, *node.output)]
    numbers = {item.name: item.i for item in node.attribute}
    reason = ""
    if node.op_type == "Reshape" and -1 not in (*shapes[0], *shapes[-1]):
        if math.prod(shapes[0]) != math.prod(shapes[-1]):
            reason = f"{list(shapes[0])} and {list(shapes[-1])} have different numbers of elements"
    elif node.op_type in ("Conv", "Gemm") and all(shapes[:2]):
        if node.op_type == "Conv":
            comes, taken = shapes[0][1], shapes[1][1] * numbers.get("group", 1)
        else:
            comes, taken = shapes[0][1 - numbers.get("transA", 0)], shapes[1][numbers.get("transB", 0)]
        if comes != taken and -1 not in (comes, taken):
            reason = f"its weights take {taken} channels, the input has {comes}"
    if reason:
        raise AtcError("E14001", value=list(shapes[0]), opname=node.name, optype=node.op_type, reason=reason)


def output_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], gears: Gears) -> list[tuple[int, ...]]:
    """The outputs' shapes at the largest gear; the graph is checked at the smallest one too."""
    found: list[tuple[int, ...]] = []
    for gear in sorted({min(gears.values, key=math.prod), gears.largest}, key=math.prod) if gears.kind else [()]:
        trial = onnx.ModelProto()
        trial.CopyFrom(model)
        set_shapes(trial, at_gear(shapes, gears, gear))
        found = [dims_of(value) for value in infer(trial).graph.output]
    if any(-1 in dims for dims in found):
        raise AtcError("E10055", reason="this stand-in does not support outputs whose shape depends on values")
    return found


def choose_outputs(model: onnx.ModelProto, text: str) -> None:
    """Apply `--out_nodes`: `node:index;…`, or names of the model's outputs.

    Raises:
        AtcError: E11017 for an unknown node or output, E10001 for bad syntax or both forms at once.
    """
    parts = [part.strip() for part in text.split(";") if part.strip()]
    outputs = {value.name for value in model.graph.output}
    named = [part for part in parts if part in outputs]
    if named and len(named) < len(parts):
        raise AtcError("E10001", value=text, parameter="--out_nodes", reason="write node:index or outputs, not both")
    chosen = named or [_output_of(model, part) for part in parts]
    graph = infer(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, types[name], None) for name in chosen)


def _output_of(model: onnx.ModelProto, part: str) -> str:
    name, colon, index = part.rpartition(":")
    if not colon:
        raise AtcError("E11017", opname=part)
    if re.fullmatch("[0-9]{1,4}", index) is None or not name:
        raise AtcError("E10001", value=part, parameter="--out_nodes", reason="write node:index")
    node = next((node for node in model.graph.node if node.name == name), None)
    if node is None:
        raise AtcError("E11017", opname=name)
    if int(index) >= len(node.output):
        reason = f"{name} has {len(node.output)} outputs"
        raise AtcError("E10001", value=part, parameter="--out_nodes", reason=reason)
    return str(node.output[int(index)])


def output_names(model: onnx.ModelProto) -> list[str]:
    """The outputs' names on an `.om`: `node:index:tensor`."""
    origin = {
        tensor: f"{node.name}:{index}:{tensor}" for node in model.graph.node for index, tensor in enumerate(node.output)
    }
    return [origin.get(value.name, value.name) for value in model.graph.output]
