"""Translations of ONNX operators to those of the graph engine; other operators are refused by name.

The graph engine's pads are top, bottom, left, right; its strides and dilations have four numbers, in the order of
`data_format`, which is NCHW throughout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from infra.air.operators import Default
from infra.air.schema import DATA_TYPES
from infra.errors import UserError

TYPES: Mapping[int, int] = {
    TensorProto.FLOAT: DATA_TYPES["DT_FLOAT"], TensorProto.FLOAT16: DATA_TYPES["DT_FLOAT16"],
    TensorProto.INT8: DATA_TYPES["DT_INT8"], TensorProto.UINT8: DATA_TYPES["DT_UINT8"],
    TensorProto.INT32: DATA_TYPES["DT_INT32"], TensorProto.INT64: DATA_TYPES["DT_INT64"],
    TensorProto.BOOL: DATA_TYPES["DT_BOOL"], TensorProto.DOUBLE: DATA_TYPES["DT_DOUBLE"],
}  # fmt: skip
"""ONNX element type → `DataType`."""

Attributes = Mapping[str, Default]
Translation = tuple[str, Sequence[str], Attributes]
"""Operator type, its inputs (ONNX tensor names), its attributes."""


@dataclass(frozen=True)
class Tensors:
    """The tensors of a graph, by name.

    Attributes:
        known: shape and `DataType`.
        constants: values of weights and constants.
    """

    known: dict[str, tuple[tuple[int, ...], int]]
    constants: dict[str, NDArray[Any]]

    def add(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        self.constants[name] = values
        self.known[name] = (values.shape, data_type(helper.np_dtype_to_tensor_dtype(values.dtype), name))
        return name

    def derive(self, node: onnx.NodeProto, role: str, values: NDArray[Any]) -> str:
        """Add a constant that ONNX has as an attribute of `node`; returns its name."""
        return self.add(f"{node.output[0]}/{role}", values)


def data_type(kind: int, name: str) -> int:
    """ONNX element type → `DataType`; raises `UserError` with the tensor's name for others."""
    if kind not in TYPES:
        word = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else kind
        raise UserError(f"tensor {name} has the element type {word}, which cannot be written as AIR")
    return TYPES[kind]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def refused(node: onnx.NodeProto, reason: str) -> UserError:
    """The error for a node that has no translation."""
    return UserError(
        f"operator {node.op_type} ({node.name or node.output[0]}) cannot be written as AIR: {reason}",
        hint=f"translated are {', '.join(sorted(TRANSLATIONS))}; or compile the ONNX file",
    )


def _window(tensors: Tensors, node: onnx.NodeProto, kernel: Sequence[int]) -> tuple[Attributes, Sequence[int]]:
    """Strides, pads and dilations of a convolution or pooling, and its plain dilations."""
    given = attributes(node)
    if len(kernel) != 2:
        raise refused(node, f"its window has {len(kernel)} dimensions, not 2")
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    automatic = given.get("auto_pad", b"NOTSET").decode()
    if automatic == "NOTSET":
        top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    elif automatic == "VALID":
        top = left = bottom = right = 0
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        sizes = tensors.known[node.input[0]][0][2:]
        totals = [
            max((-(-size // step) - 1) * step + (reach - 1) * spread + 1 - size, 0)
            for size, step, reach, spread in zip(sizes, strides, kernel, dilations, strict=True)
        ]
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        (top, left), (bottom, right) = (small, large) if automatic == "SAME_UPPER" else (large, small)
    else:
        raise refused(node, f"its auto_pad is {automatic}")
    return {"strides": (1, 1, *strides), "pads": (top, bottom, left, right)}, dilations


def _conv(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    window, dilations = _window(tensors, node, tensors.known[node.input[1]][0][2:])
    groups = attributes(node).get("group", 1)
    extra: Attributes = {"dilations": (1, 1, *dilations), "groups": groups, "data_format": "NCHW"}
    return "Conv2D", node.input, {**window, **extra}


def _pool(kind: str) -> Callable[[Tensors, onnx.NodeProto], Translation]:
    def translate(tensors: Tensors, node: onnx.NodeProto) -> Translation:
        given = attributes(node)
        window, dilations = _window(tensors, node, given["kernel_shape"])
        if list(dilations) != [1, 1] or given.get("storage_order", 0):
            raise refused(node, "it has dilations or another storage order")
        extra: dict[str, Default] = {
            "ksize": (1, 1, *given["kernel_shape"]),
            "ceil_mode": bool(given.get("ceil_mode", 0)),
        }
        if kind == "AvgPoolV2":
            extra["exclusive"] = not given.get("count_include_pad", 0)
        return kind, node.input, {**window, **extra}

    return translate


def _same(kind: str) -> Callable[[Tensors, onnx.NodeProto], Translation]:
    return lambda _tensors, node: (kind, node.input, {})


def _batch_norm(_tensors: Tensors, node: onnx.NodeProto) -> Translation:
    epsilon = float(attributes(node).get("epsilon", 1e-5))
    return "BatchNorm", node.input, {"epsilon": epsilon, "data_format": "NCHW", "is_training": False}


def _reduce_mean(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    given = attributes(node)
    rank = len(tensors.known[node.input[0]][0])
    axes = np.array([axis % rank for axis in given.get("axes", range(rank))], np.int64)
    keep = bool(given.get("keepdims", 1))
    return "ReduceMean", [node.input[0], tensors.derive(node, "axes", axes)], {"keep_dims": keep}


def _global_average(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    axes = tensors.derive(node, "axes", np.array([2, 3], np.int64))
    return "ReduceMean", [node.input[0], axes], {"keep_dims": True}


def _flatten(_tensors: Tensors, node: onnx.NodeProto) -> Translation:
    if attributes(node).get("axis", 1) != 1:
        raise refused(node, "its axis is not 1")
    return "FlattenV2", node.input, {}


def _reshape(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    if node.input[1] not in tensors.constants:
        raise refused(node, "its shape is computed")
    target = np.array(tensors.known[node.output[0]][0], np.int64)
    return "Reshape", [node.input[0], tensors.derive(node, "shape", target)], {}


def _gemm(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    given = attributes(node)
    if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
        raise refused(node, "alpha or beta is not 1")
    if len(node.input) == 3 and len(tensors.known[node.input[2]][0]) != 1:
        raise refused(node, "its bias is not a vector")
    transposed: Attributes = {f"transpose_x{i}": bool(given.get(key, 0)) for i, key in ((1, "transA"), (2, "transB"))}
    return "MatMulV2", node.input, transposed


def _matmul(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    if any(len(tensors.known[name][0]) != 2 for name in node.input):
        raise refused(node, "its inputs are not matrices")
    return "MatMulV2", node.input, {}


def _pad(tensors: Tensors, node: onnx.NodeProto) -> Translation:
    if attributes(node).get("mode", b"constant") != b"constant" or node.input[1] not in tensors.constants:
        raise refused(node, "it does not pad with constant widths and values")
    if len(node.input) > 2 and (node.input[2] not in tensors.constants or tensors.constants[node.input[2]].any()):
        raise refused(node, "it pads with something else than zeros")
    widths = tensors.constants[node.input[1]].reshape(2, -1).T.astype(np.int64)
    return "Pad", [node.input[0], tensors.derive(node, "paddings", widths)], {}


TRANSLATIONS: Mapping[str, Callable[[Tensors, onnx.NodeProto], Translation]] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Relu": _same("Relu"),
    "Sigmoid": _same("Sigmoid"),
    "Tanh": _same("Tanh"),
    "MaxPool": _pool("MaxPoolV3"),
    "AveragePool": _pool("AvgPoolV2"),
    "GlobalAveragePool": _global_average,
    "Add": _same("Add"),
    "Mul": _same("Mul"),
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
"""ONNX operator → how it is written."""
