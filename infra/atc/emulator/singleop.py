"""`--singleop`: compile the operators of a JSON file, each to an `.om` (docs/reference/atc.md §3.2).

The stand-in knows Add, Mul, Cast and MatMul. The pyACL stand-in's `acl.op` finds them by operator, shapes, types and
attributes.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from infra.atc.codes import AtcError
from infra.atc.emulator.graph import ACL_TYPES, infer
from infra.atc.emulator.om import FORMATS, ITEM_BYTES, OmModel, OmTensor

_TYPES: Mapping[str, int] = {
    "float": TensorProto.FLOAT, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int8": TensorProto.INT8,
    "int32": TensorProto.INT32, "uint8": TensorProto.UINT8, "int16": TensorProto.INT16, "int64": TensorProto.INT64,
    "double": TensorProto.DOUBLE, "bool": TensorProto.BOOL,
}  # fmt: skip
_OPERATORS = ("Add", "Mul", "Cast", "MatMul")
_TRANSPOSED = ("transpose_x1", "transpose_x2")
_OPSET, _IR = 13, 7


@dataclass(frozen=True)
class _Tensor:
    dims: tuple[int, ...]
    kind: int
    layout: str

    @property
    def dtype(self) -> int:
        """The ACL code."""
        return ACL_TYPES[self.kind]


def compile_operators(path: Path, soc_version: str, version: str) -> Iterator[tuple[str, OmModel]]:
    """The operators of a file: the file's name without suffix, and the model.

    Args:
        path: a JSON list of operators with `op`, `input_desc`, `output_desc` and `attr`.
        soc_version: the chip.
        version: of the stand-in.

    Raises:
        AtcError: E10032 for JSON that cannot be read, E10055 for another operator, E14001 for shapes that do not fit.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        read = [
            (str(entry["op"]), _tensors(entry["input_desc"]), _tensors(entry["output_desc"]), _attributes(entry))
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AtcError("E10032", file_name=path, reason=f"{type(error).__name__}: {error}") from error
    for number, (operator, inputs, outputs, attributes) in enumerate(read):
        if operator not in _OPERATORS:
            raise AtcError("E10055", reason=f"this stand-in compiles {', '.join(_OPERATORS)}, not {operator}")
        parts = [f"{tensor.dtype}_{FORMATS.get(tensor.layout, 2)}_{'_'.join(map(str, tensor.dims))}"
                 for tensor in (*inputs, *outputs)]  # fmt: skip
        yield (
            "_".join([str(number), operator, *parts]),
            _model(operator, inputs, outputs, attributes, soc_version, version),
        )


def _tensors(described: Sequence[Mapping[str, Any]]) -> list[_Tensor]:
    return [
        _Tensor(tuple(int(dim) for dim in item["shape"]), _TYPES[item["type"]], str(item.get("format", "ND")))
        for item in described
    ]


def _attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {str(item["name"]): item["value"] for item in entry.get("attr", [])}


def _model(
    operator: str,
    inputs: Sequence[_Tensor],
    outputs: Sequence[_Tensor],
    attributes: Mapping[str, Any],
    soc_version: str,
    version: str,
) -> OmModel:
    names = [f"x{index + 1}" for index in range(len(inputs))]
    nodes = []
    if operator == "MatMul":
        for index, name in enumerate(_TRANSPOSED):
            if attributes.get(name):
                nodes.append(helper.make_node("Transpose", [names[index]], [f"{names[index]}_t"]))
                names[index] += "_t"
    more = {"to": outputs[0].kind} if operator == "Cast" else {}
    nodes.append(helper.make_node(operator, names, ["y"], name=operator, **more))
    ends = [
        [helper.make_tensor_value_info(name, tensor.kind, tensor.dims) for name, tensor in pairs]
        for pairs in (zip([f"x{index + 1}" for index in range(len(inputs))], inputs, strict=True), [("y", outputs[0])])
    ]
    graph = helper.make_graph(nodes, operator, *ends)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    _check(network, operator)
    options = {"singleop": operator, "singleop_attributes": _text(attributes)}
    described = [
        tuple(
            OmTensor(value.name, tensor.dtype, tensor.dims, FORMATS.get(tensor.layout, 2), _bytes(tensor))
            for value, tensor in zip(values, tensors, strict=True)
        )
        for values, tensors in zip(ends, (inputs, outputs), strict=True)
    ]
    return OmModel(
        operator, soc_version, "atc-stand-in", version, emulated=True, inputs=described[0], outputs=described[1],
        onnx=network.SerializeToString(deterministic=True), options=options,
    )  # fmt: skip


def _check(network: onnx.ModelProto, operator: str) -> None:
    try:
        infer(network)
    except AtcError as error:
        raise AtcError("E14001", value=operator, opname=operator, optype=operator, reason=error.text) from error


def _text(attributes: Mapping[str, Any]) -> str:
    """As the pyACL stand-in writes the attributes of `acl.op`."""
    return ";".join(f"{name}={value}" for name, value in sorted(attributes.items()))


def _bytes(tensor: _Tensor) -> int:
    return ITEM_BYTES[tensor.dtype] * math.prod(tensor.dims)
