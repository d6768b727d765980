"""What ATC refuses, as rules over an ONNX graph with constant shapes (docs/reference/atc.md §3.4)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from infra.atc.generations import CHIPS, DEFAULT, GENERATIONS, Generation, chips_of
from infra.atc.lint.findings import Finding, Level, Rule, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STANDARD = ("", "ai.onnx")
ADVISED = 13
"""Accepted by every CANN since 5.0, and the version that reports of it name as safe."""

# The number of results depends on the data, so the shapes behind them are not constant.
_DATA_SHAPES = ("NonZero", "NonMaxSuppression", "Unique", "Compress")
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
_SEQUENCES = ("SequenceConstruct", "SequenceAt", "SequenceInsert", "SplitToSequence", "ConcatFromSequence")
_WIDE = {TensorProto.DOUBLE: "double", TensorProto.STRING: "string", TensorProto.COMPLEX64: "complex64"}


def lint(model: onnx.ModelProto, cann: Generation = GENERATIONS[DEFAULT], chips: Sequence[str] = ()) -> list[Finding]:
    """Find what ATC refuses in a model; the model is not changed.

    Args:
        model: with fixed shapes and folded constants, as `infra.atc.lint.fixes.apply` leaves it.
        cann: the generation of the compiler.
        chips: that it is compiled for.
    """
    found = [*_opset(model, cann), *_chips(chips, cann)]
    return [*found, *(finding for rule in _RULES for finding in rule(model))]


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators; 1 when the file names none, as ONNX defines."""
    return next((int(item.version) for item in model.opset_import if item.domain in STANDARD), 1)


def _domains(model: onnx.ModelProto) -> Iterator[Finding]:
    versions = sorted({int(item.version) for item in model.opset_import if item.domain in STANDARD})
    if len(versions) > 1:
        yield Finding(
            Rule.DOMAINS,
            Level.ERROR,
            f"the file names versions {versions[0]} and {versions[-1]} of the standard operators (ATC: E16005)",
            "remove one entry of model.opset_import: usually a tool that edited the file has added the second",
        )


def _chips(chips: Sequence[str], cann: Generation) -> Iterator[Finding]:
    for chip in chips:
        if chip in CHIPS and chip not in chips_of(cann.name):
            first, last = CHIPS[chip].first, CHIPS[chip].last
            span = f"{first} to {last}" if last else f"{first} or later"
            yield Finding(
                Rule.CHIP,
                Level.ERROR,
                f"CANN {cann.name} does not compile for {chip}",
                f"use a compiler of CANN {span}",
            )


def _opset(model: onnx.ModelProto, cann: Generation) -> Iterator[Finding]:
    version = opset_of(model)
    if version not in cann.opsets:
        yield Finding(
            Rule.OPSET,
            Level.ERROR,
            f"opset {version}; ATC of CANN {cann.name} reads {cann.opsets[0]} to {cann.opsets[-1]}",
            f"export again with opset_version={ADVISED}",
        )


def _operators(model: onnx.ModelProto) -> Iterator[Finding]:
    version = opset_of(model)
    foreign = Counter(f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in STANDARD)
    for name, count in sorted(foreign.items()):
        yield Finding(
            Rule.OPERATOR,
            Level.ERROR,
            f"{name} ×{count} is no standard ONNX operator",
            _FOREIGN.get(name.partition("::")[0], "express it in standard operators, or register a plug-in with ATC"),
        )
    standard = Counter(node.op_type for node in model.graph.node if node.domain in STANDARD)
    for name, count in sorted(standard.items()):
        if not onnx.defs.has(name, version, ""):
            yield Finding(
                Rule.OPERATOR,
                Level.ERROR,
                f"{name} ×{count} does not exist in opset {version}",
                f"export again with opset_version={ADVISED}, or rename the operator",
            )
        elif name in _SEQUENCES:
            yield Finding(
                Rule.OPERATOR, Level.ERROR, f"{name} ×{count} works on sequences", "use tensors of a fixed shape"
            )


_FOREIGN = {
    "com.microsoft": "ONNX Runtime's own optimiser writes these: compile the file as it was before",
    "ai.onnx.ml": "classic machine learning does not run on the chip: export the neural network alone",
    "aten": "PyTorch could not translate it: export with operator_export_type=ONNX and see what it says",
    "org.pytorch.aten": "PyTorch could not translate it: express it in other functions of torch",
}


def _subgraphs(model: onnx.ModelProto) -> Iterator[Finding]:
    kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    nodes = [node for node in model.graph.node if any(item.type in kinds for item in node.attribute)]
    if nodes:
        yield Finding(
            Rule.SUBGRAPH,
            Level.ERROR,
            f"control flow that depends on data: {some([_name(node) for node in nodes])}",
            "trace the network instead of scripting it, or take the branch out of the model",
        )


def _data_shapes(model: onnx.ModelProto) -> Iterator[Finding]:
    nodes = [node for node in model.graph.node if node.op_type in _DATA_SHAPES and node.domain in STANDARD]
    if nodes:
        yield Finding(
            Rule.DATA_SHAPE,
            Level.ERROR,
            f"the shape of a result depends on the picture: {some([_name(node) for node in nodes])}",
            "end the model before it, and do the rest on the host; a classifier needs none of these",
        )


def _training(model: onnx.ModelProto) -> Iterator[Finding]:
    """Graphs exported in training mode: Dropout drops, and normalisation uses the batch's own statistics."""
    flags = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        attributes = {item.name: item.i for item in node.attribute}
        if node.op_type == "BatchNormalization":
            if attributes.get("training_mode") or (len(node.output) > 1 and any(node.output[1:])):
                nodes.append(_name(node))
        elif node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            flag = flags.get(node.input[2])
            if flag is None or bool(onnx.numpy_helper.to_array(flag).any()):
                nodes.append(_name(node))
    if nodes:
        yield Finding(
            Rule.TRAINING,
            Level.ERROR,
            f"exported in training mode: {some(nodes)}",
            "call model.eval() (PyTorch), training=False (Keras) or set_train(False) (MindSpore), and export again",
        )


def _random(model: onnx.ModelProto) -> Iterator[Finding]:
    nodes = [node for node in model.graph.node if node.op_type in _RANDOM]
    if nodes:
        yield Finding(
            Rule.RANDOM,
            Level.ERROR,
            f"random numbers at each call: {some([_name(node) for node in nodes])}",
            "a classifier answers the same each time: take them out of the exported network",
        )


def _types(model: onnx.ModelProto) -> Iterator[Finding]:
    graph = model.graph
    tensors = [(item.name, item.data_type) for item in graph.initializer]
    values = [(item.name, item.type.tensor_type.elem_type) for item in (*graph.input, *graph.output)]
    for kind, word in _WIDE.items():
        names = [name for name, elem in (*tensors, *values) if elem == kind]
        if names:
            advice = "export in float32 (model.float(), dtype=float32)" if kind == TensorProto.DOUBLE else "remove them"
            yield Finding(Rule.TYPE, Level.ERROR, f"{word} tensors: {some(names)}", advice)
    if graph.sparse_initializer:
        yield Finding(Rule.TYPE, Level.ERROR, "sparse weights", "export dense weights")


def _names(model: onnx.ModelProto) -> Iterator[Finding]:
    """Names with the separators of ATC's options can be named in none of them."""
    bad = [value.name for value in model.graph.input if ";" in value.name or not value.name.strip()]
    if bad:
        yield Finding(
            Rule.NAMES, Level.ERROR, f"the input name {bad[0]!r} cannot be written in --input_shape", "rename the input"
        )


def _dimensions(model: onnx.ModelProto) -> Iterator[Finding]:
    for value in model.graph.input:
        dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim]
        if any(dim < 1 for dim in dims[1:]):
            yield Finding(
                Rule.DIMENSIONS,
                Level.ERROR,
                f"input {value.name} leaves dimensions open: {dims}",
                "give the size (--size), or export with a fixed height and width",
            )


def _name(node: onnx.NodeProto) -> str:
    return f"{node.op_type} '{node.name or node.output[0]}'"


_RULES: tuple[Callable[[onnx.ModelProto], Iterator[Finding]], ...] = (
    _domains,
    _operators,
    _subgraphs,
    _data_shapes,
    _training,
    _random,
    _types,
    _names,
    _dimensions,
)
