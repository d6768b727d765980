"""Translate AIR to ONNX (opset 11), for the operators of the writer, so that an AIR graph can be executed here."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from infra.air.operators import OPERATORS
from infra.air.schema import ModelDef
from infra.air.translations import TYPES
from infra.errors import Corrupt, UserError

OPSET, IR_VERSION = 11, 6
_ONNX_TYPES = {ours: kind for kind, ours in TYPES.items()}
_SOURCE = re.compile(r"(?P<name>.+):(?P<index>-?\d+)", re.DOTALL)


class UnknownOperatorError(UserError):
    """An AIR graph has an operator without a translation.

    Attributes:
        name: of the operator.
        kind: its type.
    """

    def __init__(self, name: str, kind: str) -> None:
        known = ", ".join(sorted(OPERATORS))
        super().__init__(f"operator {kind} ({name}) of the AIR graph cannot be translated", hint=f"known are {known}")
        self.name, self.kind = name, kind


def parse(data: bytes) -> Any:
    """Parse an AIR file; raises `Corrupt` for other bytes, or when there is no graph."""
    try:
        model = ModelDef.FromString(data)
        # Other protobuf files may decode by chance (ONNX has its graph under the same number), but have no
        # operators; what is no text in them is noticed only when it is read.
        names = [(graph.name, [(op.name, op.type) for op in graph.op]) for graph in model.graph[:1]]
    except (DecodeError, UnicodeDecodeError) as error:
        raise Corrupt("the file is not AIR: it cannot be decoded", hint="export the model again") from error
    if not names or not names[0][1] or not all(all(pair) for pair in names[0][1]):
        raise Corrupt("the file is not AIR: it has no graph of operators", hint="export the model again")
    return model


def operators(data: bytes) -> list[tuple[str, str, bool]]:
    """Name, type and whether it can be translated, for each operator; raises the errors of `parse`."""
    return [(op.name, op.type, op.type in OPERATORS) for op in parse(data).graph[0].op]


def to_onnx(data: bytes) -> onnx.ModelProto:
    """Translate an AIR file.

    The ONNX tensors have the operators' names, so inputs and outputs keep theirs.

    Raises:
        Corrupt: the bytes are not AIR, or are inconsistent.
        UnknownOperatorError: an operator without a translation.
        UserError: an attribute without a translation.
    """
    graph = parse(data).graph[0]
    unknown = next((op for op in graph.op if op.type not in OPERATORS), None)
    if unknown is not None:
        raise UnknownOperatorError(unknown.name, unknown.type)
    try:
        model = _Reader(graph).read()
        onnx.checker.check_model(model)
    except (KeyError, ValueError, IndexError, TypeError, onnx.checker.ValidationError) as error:
        raise Corrupt(f"the AIR graph {graph.name} is damaged: {error}", hint="export the model again") from error
    return model


class _Reader:
    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.operators = {op.name: op for op in graph.op}
        self.weights: dict[str, NDArray[Any]] = {
            op.name: _array(op.attr["value"].t) for op in graph.op if op.type == "Const"
        }
        self.used: list[str] = []

    def read(self) -> onnx.ModelProto:
        inputs = sorted((op for op in self.graph.op if op.type == "Data"), key=lambda op: _get(op, "index"))
        last = next((op for op in self.graph.op if op.type == "NetOutput"), None)
        sources = list(last.input if last is not None else self.graph.output)
        if not inputs or not sources:
            raise ValueError("it has no input or no output")
        outputs = [(self.tensor(source), self.description(source)) for source in sources]
        nodes = [self.node(op) for op in self.ordered() if op.type in _TRANSLATIONS]
        graph = helper.make_graph(
            nodes,
            self.graph.name,
            [_value(op.name, op.output_desc[0]) for op in inputs],
            [_value(name, description) for name, description in outputs],
            [numpy_helper.from_array(self.weights[name], name) for name in dict.fromkeys(self.used)],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def ordered(self) -> list[Any]:
        """The operators in topological order; raises ValueError for a cycle."""
        done: dict[str, Any] = {}
        waiting = list(self.graph.op)
        while waiting:
            ready = [op for op in waiting if all(self.tensor(source) in done for source in op.input)]
            if not ready:
                raise ValueError(f"operator {waiting[0].name} depends on itself or on nothing")
            done.update({op.name: op for op in ready})
            waiting = [op for op in waiting if op.name not in done]
        return list(done.values())

    def node(self, op: Any) -> onnx.NodeProto:
        kind, inputs, attributes = _TRANSLATIONS[op.type](self, op)
        self.used.extend(name for name in inputs if name in self.weights)
        return helper.make_node(kind, inputs, [op.name], name=op.name, **attributes)

    def inputs(self, op: Any) -> list[str]:
        return [self.tensor(source) for source in op.input]

    def values(self, op: Any, index: int) -> "NDArray[Any]":
        """The values of an input that must be a constant."""
        return self.weights[self.tensor(op.input[index])]

    def tensor(self, source: str) -> str:
        """The tensor that `operator:index` means; the first output of each operator is the only one that is used."""
        match = _SOURCE.fullmatch(source)
        if match is None or match["name"] not in self.operators or match["index"] != "0":
            raise ValueError(f"there is no output {source}")
        return match["name"]

    def description(self, source: str) -> Any:
        return self.operators[self.tensor(source)].output_desc[0]


def _array(tensor: Any) -> "NDArray[Any]":
    kind = helper.tensor_dtype_to_np_dtype(_ONNX_TYPES[tensor.desc.dtype])
    return np.frombuffer(tensor.data, kind).reshape(list(tensor.desc.shape.dim))


def _value(name: str, description: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _ONNX_TYPES[description.dtype], list(description.shape.dim))


Node = tuple[str, Sequence[str], Mapping[str, Any]]


def _refused(op: Any, reason: str) -> UserError:
    return UserError(f"operator {op.type} ({op.name}) of the AIR graph cannot be translated: {reason}")


def _get(op: Any, key: str) -> Any:
    """An attribute's value: bool, int, float, text or list of int; the default of the definition if it is absent."""
    if key not in op.attr:
        default = OPERATORS[op.type].attributes[key]
        if default is None:
            raise ValueError(f"operator {op.type} ({op.name}) has no {key}")
        return list(default) if isinstance(default, tuple) else default
    field = op.attr[key].WhichOneof("value")
    value = getattr(op.attr[key], field)
    return value.decode() if field == "s" else list(value.i) if field == "list" else value


def _pair(op: Any, key: str) -> list[int]:
    """The values for height and width of an attribute in the order NCHW."""
    numbers = _get(op, key)
    if len(numbers) != 4 or numbers[:2] != [1, 1]:
        raise _refused(op, f"its {key} is {numbers}")
    return list(numbers[2:])


def _window(op: Any) -> dict[str, Any]:
    if (layout := _get(op, "data_format")) != "NCHW":
        raise _refused(op, f"its data_format is {layout}")
    top, bottom, left, right = _get(op, "pads")
    return {"strides": _pair(op, "strides"), "pads": [top, left, bottom, right]}


def _conv(reader: _Reader, op: Any) -> Node:
    extra = {"dilations": _pair(op, "dilations"), "group": _get(op, "groups")}
    return "Conv", reader.inputs(op), {**_window(op), **extra}


def _pool(kind: str) -> Callable[[_Reader, Any], Node]:
    def translate(reader: _Reader, op: Any) -> Node:
        if _get(op, "padding_mode") != "CALCULATED" or _get(op, "global_pooling"):
            raise _refused(op, "it is global, or its padding_mode is not CALCULATED")
        extra = {"kernel_shape": _pair(op, "ksize"), "ceil_mode": int(_get(op, "ceil_mode"))}
        if kind == "AveragePool":
            if _get(op, "divisor_override"):
                raise _refused(op, "it has a divisor of its own")
            extra["count_include_pad"] = int(not _get(op, "exclusive"))
        return kind, reader.inputs(op), {**_window(op), **extra}

    return translate


def _same(kind: str) -> Callable[[_Reader, Any], Node]:
    return lambda reader, op: (kind, reader.inputs(op), {})


def _batch_norm(reader: _Reader, op: Any) -> Node:
    if _get(op, "is_training") or _get(op, "data_format") != "NCHW":
        raise _refused(op, "it is in training, or its data_format is not NCHW")
    return "BatchNormalization", reader.inputs(op), {"epsilon": _get(op, "epsilon")}


def _reduce_mean(reader: _Reader, op: Any) -> Node:
    axes = reader.values(op, 1).tolist()
    return "ReduceMean", reader.inputs(op)[:1], {"axes": axes, "keepdims": int(_get(op, "keep_dims"))}


def _flatten(reader: _Reader, op: Any) -> Node:
    if (_get(op, "axis"), _get(op, "end_axis")) != (1, -1):
        raise _refused(op, "it does not flatten all but the batch")
    return "Flatten", reader.inputs(op), {"axis": 1}


def _reshape(reader: _Reader, op: Any) -> Node:
    if (_get(op, "axis"), _get(op, "num_axes")) != (0, -1):
        raise _refused(op, "it reshapes a part of the dimensions")
    return "Reshape", reader.inputs(op), {}


def _matmul(reader: _Reader, op: Any) -> Node:
    if len(op.input) > 3:
        raise _refused(op, "it is quantised")
    transposed = {"transA": int(_get(op, "transpose_x1")), "transB": int(_get(op, "transpose_x2"))}
    return "Gemm", reader.inputs(op), transposed


def _pad(reader: _Reader, op: Any) -> Node:
    name = f"{op.name}/pads"
    reader.weights[name] = reader.values(op, 1).T.reshape(-1).astype(np.int64)
    return "Pad", [*reader.inputs(op)[:1], name], {"mode": "constant"}


_TRANSLATIONS: Mapping[str, Callable[[_Reader, Any], Node]] = {
    "Conv2D": _conv,
    "BatchNorm": _batch_norm,
    "Relu": _same("Relu"),
    "Sigmoid": _same("Sigmoid"),
    "Tanh": _same("Tanh"),
    "MaxPoolV3": _pool("MaxPool"),
    "AvgPoolV2": _pool("AveragePool"),
    "Add": _same("Add"),
    "Mul": _same("Mul"),
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "FlattenV2": _flatten,
    "Reshape": _reshape,
    "MatMulV2": _matmul,
}
