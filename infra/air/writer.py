"""Translate ONNX to AIR, for the operators of the shipped networks.

Portable, not verified on Huawei's ATC. Conventions of the graph engine beyond the schema: an input is
written `operator:index`; the attributes `_input_name_key` and `_input_name_value` (likewise for outputs) tie names to
indices; `_opt_input` names the optional inputs; weights are Const operators with a tensor `value`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper, shape_inference

from infra.air.operators import OPERATORS, Default
from infra.air.schema import LIST_TYPES, ModelDef
from infra.air.translations import TRANSLATIONS, Attributes, Tensors, attributes, data_type, refused
from infra.errors import UserError

LABEL = "portable, not verified on Huawei's ATC"


def to_air(model: onnx.ModelProto, batch: int = 1) -> bytes:
    """Write a graph as AIR.

    Args:
        model: with its weights inside.
        batch: replaces an open first dimension, because AIR has fixed shapes and ATC accepts no others for it.

    Returns:
        The file's bytes; equal models give equal bytes.

    Raises:
        UserError: an operator or an attribute without a translation; an open dimension other than the batch.
    """
    for node in model.graph.node:
        constant = node.op_type == "Constant" and "value" in attributes(node)
        if node.domain not in ("", "ai.onnx") or not (constant or node.op_type in TRANSLATIONS):
            raise refused(node, "it is none of those that are translated")
    return _Writer(_with_shapes(model, batch)).write()


def write_air(source: Path, target: Path, batch: int = 1) -> None:
    """Translate an ONNX file to an AIR file; raises the errors of `to_air`.

    Raises:
        UserError: the ONNX file cannot be read.
    """
    try:
        model = onnx.load(source)
    except (OSError, DecodeError) as error:
        raise UserError(f"{source} is not an ONNX file that can be read: {error}") from error
    target.write_bytes(to_air(model, batch))


def _with_shapes(model: onnx.ModelProto, batch: int) -> onnx.GraphProto:
    """A copy of the graph with the batch fixed and all shapes known."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    for value in [value for value in fixed.graph.input if value.name in weights]:
        fixed.graph.input.remove(value)  # older files list their weights as inputs too
    for value in fixed.graph.input:
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") and index == 0:
                dim.dim_value = batch
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        return shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise UserError(f"the model's shapes are inconsistent: {error}", hint="export the model again") from error


def _tensors(graph: onnx.GraphProto) -> Tensors:
    found = Tensors({}, {})
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if any(not dim.HasField("dim_value") for dim in kind.shape.dim):
            raise UserError(f"the shape of tensor {value.name} is open", hint="export with a fixed size")
        dims = tuple(dim.dim_value for dim in kind.shape.dim)
        found.known[value.name] = (dims, data_type(kind.elem_type, value.name))
    for tensor in graph.initializer:
        found.add(tensor.name, numpy_helper.to_array(tensor))
    for node in graph.node:
        if node.op_type == "Constant":
            found.add(node.output[0], numpy_helper.to_array(attributes(node)["value"]))
    return found


class _Writer:
    """Appends operators to a model in the order of the nodes."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.tensors = _tensors(graph)
        self.model = ModelDef(name=graph.name or "model", version=1, custom_version="1.0")
        self.air = self.model.graph.add(name=graph.name or "graph")
        self.written: set[str] = set()

    def write(self) -> bytes:
        for index, value in enumerate(self.graph.input):
            self.air.input.append(f"{value.name}:0")
            self.add("Data", value.name, [], {"index": index})
        for node in self.graph.node:
            if node.op_type != "Constant":
                self.translate(node)
        for value in self.graph.output:
            self.air.output.append(f"{value.name}:0")
        self.add("NetOutput", "NetOutput", [value.name for value in self.graph.output], {})
        return bytes(self.model.SerializeToString(deterministic=True))

    def translate(self, node: onnx.NodeProto) -> None:
        """Append the operator of a node, named after the node's output, which is unique."""
        if len([name for name in node.output if name]) != 1:
            raise refused(node, "it has more than one output")
        kind, inputs, values = TRANSLATIONS[node.op_type](self.tensors, node)
        for name in inputs:
            if name in self.tensors.constants and name not in self.written:
                self.add_constant(name)
        self.add(kind, node.output[0], inputs, values)

    def add_constant(self, name: str) -> None:
        self.add("Const", name, [], {})
        tensor = self.air.op[-1].attr["value"].t
        self.describe(tensor.desc, "", name)
        tensor.data = np.ascontiguousarray(self.tensors.constants[name]).tobytes()

    def add(self, kind: str, name: str, inputs: Sequence[str], values: Attributes) -> None:
        """Append an operator with its descriptions and attributes; omitted attributes have their defaults."""
        defined = OPERATORS[kind]
        roles = [f"x{index}" for index in range(len(inputs))] if kind == "NetOutput" else defined.inputs
        operator = self.air.op.add(name=name, type=kind, id=len(self.air.op))
        self.written.add(name)
        for role, source in zip(roles, inputs, strict=False):
            operator.input.append(f"{source}:0")
            self.describe(operator.input_desc.add(), role, source)
        if kind == "Data":  # a Data operator describes its input too
            self.describe(operator.input_desc.add(), "x", name)
        for role in defined.outputs:
            # The outputs after the first are BatchNorm's statistics, with the shape of its second input.
            self.describe(operator.output_desc.add(), role, name if role == "y" else inputs[1])
        for end, descriptions in (("input", operator.input_desc), ("output", operator.output_desc)):
            if descriptions:
                _set(operator.attr[f"_{end}_name_key"], tuple(item.name for item in descriptions))
                _set(operator.attr[f"_{end}_name_value"], tuple(range(len(descriptions))))
        if defined.optional:
            _set(operator.attr["_opt_input"], defined.optional)
        for key, default in defined.attributes.items():
            value = values.get(key, default)
            if value is not None:
                _set(operator.attr[key], value)

    def describe(self, description: Any, role: str, tensor: str) -> None:
        """Fill a TensorDescriptor with a tensor's type, shape and layout."""
        dims, kind = self.tensors.known[tensor]
        description.name = role
        description.dtype = kind
        description.shape.dim.extend(dims)
        description.layout = "NCHW" if len(dims) == 4 else "ND"


def _set(attribute: Any, value: Default | tuple[str, ...]) -> None:
    """Store a value in the field of its type; bool before int, since Python's bool is one."""
    if isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, int):
        attribute.i = value
    elif isinstance(value, float):
        attribute.f = value
    elif isinstance(value, str):
        attribute.s = value.encode()
    elif value and isinstance(value[0], str):
        attribute.list.s.extend(str(item).encode() for item in value)
        attribute.list.val_type = LIST_TYPES["VT_LIST_STRING"]
    elif value is not None:
        attribute.list.i.extend(int(item) for item in value)
        attribute.list.val_type = LIST_TYPES["VT_LIST_INT"]
