"""Apply a precision mode to the ONNX graph: float16 rounding as pairs of Casts.

A tensor is "half" when each of its float32 values is a float16 value: `Cast(Cast(x, float16), float32)`
rounds to nearest, ties to even, and to infinity beyond 65504. Sums inside an operator stay float32, as in the cube
unit. The operators with half inputs and outputs are:

========================================  =======================  =======================
mode (its name in `--precision_mode_v2`)  cube operators           all others
========================================  =======================  =======================
force_fp16 (fp16)                         half → half              half → half
allow_mix_precision(_fp16)                half → half              half → half, but the sensitive ones
(mixed_float16)                                                    (exponentials, sums, normalisations) give float32
allow_fp32_to_fp16                        half → half              float32
force_fp32, cube_fp16in_fp32out           half → float32           float32
must_keep_origin_dtype (origin)           float32                  float32
========================================  =======================  =======================
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infra.atc.codes import AtcError
from infra.atc.emulator.fusion import drop_unused

DEFAULT = "force_fp16"
FROM_V2: Mapping[str, str] = {
    "fp16": "force_fp16",
    "origin": "must_keep_origin_dtype",
    "cube_fp16in_fp32out": "cube_fp16in_fp32out",
    "mixed_float16": "allow_mix_precision_fp16",
}
_TYPE = "OpType::"
CUBE = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
SENSITIVE = frozenset({
    "Exp", "Log", "Pow", "ReduceL2", "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "Softmax",
    "LogSoftmax", "LayerNormalization", "InstanceNormalization", "LpNormalization", "MeanVarianceNormalization",
})  # fmt: skip
# These compute no new values: half inputs give half outputs.
_MOVING = frozenset({
    "Relu", "MaxPool", "GlobalMaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Concat",
    "Split", "Slice", "Gather", "Dropout", "Max", "Min", "Neg", "Abs", "Expand", "Tile",
})  # fmt: skip


def mode_of(options: Mapping[str, str]) -> str:
    """The precision mode, as a value of `--precision_mode`."""
    if v2 := options.get("precision_mode_v2"):
        return FROM_V2[v2]
    return options.get("precision_mode") or DEFAULT


@dataclass(frozen=True)
class Rules:
    """The precision of each operator.

    Attributes:
        mode: a value of `--precision_mode`.
        kept: names and types of operators that keep float32, from `--keep_dtype`.
        sensitive: types that keep float32 in mixed precision, as `--modify_mixlist` changes them.
    """

    mode: str
    kept: frozenset[str] = frozenset()
    sensitive: frozenset[str] = SENSITIVE

    def halves(self, name: str, kind: str) -> tuple[bool, bool]:
        """Whether an operator has half inputs, and half outputs."""
        cube = kind in CUBE
        if self.mode == "must_keep_origin_dtype" or name in self.kept or f"{_TYPE}{kind}" in self.kept:
            return False, False
        if self.mode in ("force_fp32", "cube_fp16in_fp32out"):
            return cube, False
        if self.mode == "allow_fp32_to_fp16":
            return cube, cube
        if self.mode in ("allow_mix_precision", "allow_mix_precision_fp16"):
            return kind not in self.sensitive, kind not in self.sensitive
        return True, True


def rules_of(options: Mapping[str, str], warn: Callable[[str], None], model: onnx.ModelProto) -> Rules:
    """The rules of the options.

    `--keep_dtype` names a file with an operator's name, or `OpType::` and a type, in each line; an unknown one gives a
    warning. `--modify_mixlist` names a JSON file with `black-list` (keep float32) and `white-list`
    (float16), each with types `to-add` and `to-remove`. Types are ONNX's.

    Raises:
        AtcError: E10032 or E13001 for an unusable file.
    """
    kept = {line.strip() for line in _lines(options.get("keep_dtype", "")) if line.strip()}
    present = {node.name for node in model.graph.node}
    present |= {f"{_TYPE}{node.op_type}" for node in model.graph.node}
    if missing := sorted(kept - present):
        warn(f"--keep_dtype names {', '.join(missing)}, which the model does not have")
    return Rules(mode_of(options), frozenset(kept), _mixed(options.get("modify_mixlist", "")))


def _lines(name: str) -> list[str]:
    try:
        return Path(name).read_text(encoding="utf-8").splitlines() if name else []
    except (OSError, UnicodeDecodeError) as error:
        raise AtcError("E13001", file=name, errmsg=error) from error


def _mixed(name: str) -> frozenset[str]:
    if not name:
        return SENSITIVE
    lists: dict[str, dict[str, list[str]]] = {
        "black-list": {"to-add": [], "to-remove": []},
        "white-list": {"to-add": [], "to-remove": []},
    }
    try:
        for key, changes in json.loads("\n".join(_lines(name))).items():
            for change, types in changes.items():
                lists[key][change] = [str(kind) for kind in types]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise AtcError("E10032", file_name=name, reason=f"{type(error).__name__}: {error}") from error
    black, white = lists["black-list"], lists["white-list"]
    return (SENSITIVE | {*black["to-add"]}) - {*black["to-remove"], *white["to-add"]}


def apply_precision(model: onnx.ModelProto, rules: Rules, inferred: onnx.ModelProto) -> None:
    """Change `model` to compute by the rules.

    Args:
        model: the graph; its inputs and outputs keep their types.
        rules: precision of each operator.
        inferred: the same graph with the types of all tensors.
    """
    if rules.mode != "must_keep_origin_dtype":
        _Rounding(model, inferred).run(rules)


# Operators whose float inputs are no tensors of the network, or that change nothing.
_EXACT = ("Constant", "ConstantOfShape", "Cast", "Shape", "QuantizeLinear", "DequantizeLinear")


class _Rounding:
    """One pass over the nodes in their (topological) order."""

    def __init__(self, model: onnx.ModelProto, inferred: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        values = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
        types = {value.name: value.type.tensor_type.elem_type for value in values}
        types.update({tensor.name: tensor.data_type for tensor in model.graph.initializer})
        self.floats = {name for name, kind in types.items() if kind == TensorProto.FLOAT}
        self.rounded: dict[str, str] = {}  # float32 tensor → its half copy (itself if it is half already)
        self.nodes: list[onnx.NodeProto] = []

    def run(self, rules: Rules) -> None:
        for node in self.graph.node:
            takes, gives = rules.halves(node.name, node.op_type)
            if node.op_type in _EXACT:
                takes = gives = False
            if takes:
                self._round_inputs(node, bias=rules.mode not in ("force_fp32", "cube_fp16in_fp32out"))
            exact = node.op_type in _MOVING and all(
                self.rounded.get(name) == name for name in node.input if name in self.floats
            )
            if gives and not exact:
                self._round_outputs(node)
            else:
                self.nodes.append(node)
            if exact:
                self.rounded.update({name: name for name in node.output if name in self.floats})
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        drop_unused(self.graph)

    def _round_inputs(self, node: onnx.NodeProto, *, bias: bool) -> None:
        for index, name in enumerate(node.input):
            # A matrix product with float32 results adds its bias in float32.
            if name not in self.floats or (index == 2 and node.op_type in CUBE and not bias):
                continue
            if name not in self.rounded:
                self.rounded[name] = f"{name}__half"
                self.rounded[f"{name}__half"] = f"{name}__half"
                self._round(name, f"{name}__half")
            node.input[index] = self.rounded[name]
        self.floats.update(name for name in node.input if name.endswith("__half"))

    def _round_outputs(self, node: onnx.NodeProto) -> None:
        raw = [f"{name}__raw" if name in self.floats else name for name in node.output]
        pairs = [(before, after) for before, after in zip(raw, node.output, strict=True) if before != after]
        node.output[:] = raw
        self.nodes.append(node)
        for before, after in pairs:
            self._round(before, after)
            self.rounded[after] = after

    def _round(self, source: str, target: str) -> None:
        """Round `source` to `target`; a weight is stored as float16, as ATC does."""
        if source in self.weights:
            with np.errstate(over="ignore"):  # float16 gives infinity
                half = numpy_helper.to_array(self.weights[source]).astype(np.float16)
            self.graph.initializer.append(numpy_helper.from_array(half, f"{target}__16"))
        else:
            self.nodes.append(_cast(source, f"{target}__16", TensorProto.FLOAT16))
        self.nodes.append(_cast(f"{target}__16", target, TensorProto.FLOAT))


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"Cast:{target}", to=kind)
