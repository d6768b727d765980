"""Safe changes that make a model one that ATC takes. Each keeps the model's answers, and says what it did."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx
from onnx import version_converter

from infra.atc.generations import DEFAULT, GENERATIONS, Generation
from infra.atc.lint.findings import Finding, Level, Rule, some
from infra.atc.lint.rules import ADVISED, STANDARD, opset_of
from infra.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Operators that fold away once shapes and weights are known.
_FOLDABLE = ("Shape", "Size", "ConstantOfShape", "Range", "If", "Constant", "Identity", "Dropout")
_LARGEST = 2**31 - 1
"""Protobuf's limit of a message, and so of an ONNX file with its weights inside."""


def load(path: Path) -> tuple[onnx.ModelProto, list[Finding]]:
    """Read an ONNX file with its external weights.

    Raises:
        UserError: it is no ONNX file, its weights are missing, or it is larger than 2 GB.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - as heavy as onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise UserError(f"{path.name} is no ONNX file: {error}", hint="export the model as ONNX") from error
    if not model.graph.node or not model.graph.output:
        raise UserError(f"{path.name} is no ONNX model: it has no operators or no output", hint="export it again")
    outside = [item for item in model.graph.initializer if item.data_location == onnx.TensorProto.EXTERNAL]
    if not outside:
        return model, []
    files = sorted({entry.value for item in outside for entry in item.external_data if entry.key == "location"})
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise UserError(
            f"{path.name} keeps weights in {some(files)}, which cannot be read next to it: {error}",
            hint="keep both files in one folder, with the names that the exporter gave them",
        ) from error
    size = sum(len(item.raw_data) for item in model.graph.initializer)
    if size > _LARGEST:
        raise UserError(f"{path.name} has {size:,} bytes of weights", hint="ATC takes ONNX files below 2 GB")
    return model, [Finding(Rule.WEIGHTS, Level.FIXED, f"weights in {some(files)}", "put into the model")]


def apply(
    model: onnx.ModelProto, *, batch: int = 1, size: int = 0, cann: Generation = GENERATIONS[DEFAULT]
) -> tuple[onnx.ModelProto, list[Finding]]:
    """Apply the safe changes to a copy.

    Args:
        model: with its weights.
        batch: for inputs that leave it open; 0 keeps it open.
        size: height and width in pixels, likewise.
        cann: the generation of the compiler.

    Returns:
        The changed copy, and what was changed.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    findings: list[Finding] = []
    for fix in _FIXES:
        findings += fix(changed)
    findings += _dimensions(changed, batch, size)
    changed, more = _fold(changed)
    findings += more
    changed, more = _convert_opset(changed, cann)
    findings += [*more, *_drop_domains(changed)]
    return _with_shapes(changed), findings


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes of its tensors, where they can be inferred."""
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError):
        return model  # the rules name what is wrong with it


def _merge_domains(model: onnx.ModelProto) -> Iterator[Finding]:
    """Two entries with one version mean one."""
    entries = [item for item in model.opset_import if item.domain in STANDARD]
    if len(entries) > 1 and len({item.version for item in entries}) == 1:
        version, others = entries[0].version, [item for item in model.opset_import if item.domain not in STANDARD]
        del model.opset_import[:]
        model.opset_import.extend([onnx.helper.make_opsetid("", version), *others])
        yield Finding(
            Rule.DOMAINS, Level.FIXED, f"opset {version} is named {len(entries)} times", "named once (ATC: E16005)"
        )
    for node in model.graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""


def _drop_domains(model: onnx.ModelProto) -> Iterator[Finding]:
    used = {node.domain for node in model.graph.node} | {""}
    unused = sorted({item.domain for item in model.opset_import} - used - {"ai.onnx"})
    if unused:
        kept = [item for item in model.opset_import if item.domain not in unused]
        del model.opset_import[:]
        model.opset_import.extend(kept)
        yield Finding(Rule.DOMAINS, Level.FIXED, f"unused operator domains: {some(unused)}", "dropped")


def _weights_as_inputs(model: onnx.ModelProto) -> Iterator[Finding]:
    weights = {item.name for item in model.graph.initializer}
    listed = [value for value in model.graph.input if value.name in weights]
    for value in listed:
        model.graph.input.remove(value)
    if listed:
        names = [value.name for value in listed]
        yield Finding(
            Rule.WEIGHTS, Level.FIXED, f"{len(names)} weights are inputs, too: {some(names)}", "made constant"
        )


def _unique_names(model: onnx.ModelProto) -> Iterator[Finding]:
    """Give nodes names of their own; ATC keeps operators by name."""
    taken: set[str] = set()
    renamed = []
    for index, node in enumerate(model.graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken:
            name = f"{name}_{index}"
        if node.name and name != node.name:
            renamed.append(node.name)
        taken.add(name)
        node.name = name
    if renamed:
        yield Finding(Rule.NAMES, Level.FIXED, f"several nodes have one name: {some(renamed)}", "numbered")


_FIXES: tuple[Callable[[onnx.ModelProto], Iterator[Finding]], ...] = (_merge_domains, _weights_as_inputs, _unique_names)


def _dimensions(model: onnx.ModelProto, batch: int, size: int) -> Iterator[Finding]:
    """Fix an open batch, height and width; the place of 1, 3 or 4 channels tells NCHW from NHWC."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        before = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims]
        spatial = (1, 2) if len(dims) == 4 and before[3] in (1, 3, 4) and before[1] not in (1, 3, 4) else (2, 3)
        wanted = {0: batch, **(dict.fromkeys(spatial, size) if len(dims) == 4 else {})}
        for axis, number in wanted.items():
            if axis < len(dims) and number and dims[axis].dim_value < 1:
                dims[axis].dim_value = number  # also clears a name
        after = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims]
        if before != after:
            yield Finding(
                Rule.DIMENSIONS,
                Level.FIXED,
                f"input {value.name} leaves dimensions open: [{', '.join(map(str, before))}]",
                f"fixed to [{', '.join(map(str, after))}]",
            )
            for output in model.graph.output:  # their open dimensions no longer are
                output.type.tensor_type.ClearField("shape")
            del model.graph.value_info[:]


def _fold(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[Finding]]:
    """Compute what depends on no picture, with ONNX Runtime: shapes, branches whose condition is known, functions."""
    if not model.functions and not any(node.op_type in _FOLDABLE for node in model.graph.node):
        return model, []
    optimised = _optimised(model)
    if optimised is None:
        return model, []
    before, after = (Counter(node.op_type for node in item.graph.node) for item in (model, optimised))
    gone = {name: count - after[name] for name, count in before.items() if count > after[name]}
    if not gone:
        return model, []
    words = [f"{name} ×{count}" for name, count in sorted(gone.items())]
    named = [item for item in optimised.opset_import if item.domain in {entry.domain for entry in model.opset_import}]
    del optimised.opset_import[:]  # ONNX Runtime names all domains that it knows
    optimised.opset_import.extend(named)
    return optimised, [Finding(Rule.FOLDED, Level.FIXED, f"constant parts: {some(words, 6)}", "computed in advance")]


# Of ONNX Runtime's basic optimisations only those that remove nodes; the fusions of convolutions are left to ATC.
_NO_FUSIONS = (
    "ConvAddFusion", "ConvMulFusion", "ConvBNFusion", "MatMulAddFusion", "GemmTransposeFusion", "PadFusion",
    "MatMulBNFusion", "ReluClipFusion", "GemmSumFusion", "MatMulScaleFusion", "LabelEncoderFusion",
)  # fmt: skip


def _optimised(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model after ONNX Runtime's basic optimisations; None when it cannot load it, which later checks explain."""
    import os  # noqa: PLC0415
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, at import
    import onnxruntime as ort  # noqa: PLC0415 - heavy
    from onnxruntime.capi import onnxruntime_pybind11_state as failures  # noqa: PLC0415

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "model.onnx"))
        try:
            ort.InferenceSession(
                model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=list(_NO_FUSIONS),
            )
        except (failures.Fail, failures.InvalidGraph, failures.InvalidArgument, failures.NotImplemented):
            return None
        return onnx.load(options.optimized_model_filepath)


# Operators whose later versions only take more types, so that for float32 the version does not matter. That of
# normalisation also got `training_mode`, which a model for inference does not set (onnx/docs/Changelog.md).
_WIDENED = ("Add", "BatchNormalization", "Div", "Identity", "Mul", "Relu", "Sub")


def _relabelled(model: onnx.ModelProto, version: int, target: int) -> onnx.ModelProto | None:
    """The model with another version alone, where all its operators are the same in both; else None."""
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and (len(node.output) > 1 or len(node.attribute) > 2):
            return None
        if not onnx.defs.has(node.op_type, target, ""):
            return None
        versions = {onnx.defs.get_schema(node.op_type, number, "").since_version for number in (version, target)}
        if len(versions) > 1 and node.op_type not in _WIDENED:
            return None
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for entry in changed.opset_import:
        entry.version = target if entry.domain in STANDARD else entry.version
    return changed


def _convert_opset(model: onnx.ModelProto, cann: Generation) -> tuple[onnx.ModelProto, list[Finding]]:
    """Translate an opset that ATC does not read, where ONNX's converter can."""
    version = opset_of(model)
    if version in cann.opsets or any(node.domain not in STANDARD for node in model.graph.node):
        return model, []
    target = cann.opsets[-1] if version > cann.opsets[-1] else ADVISED
    try:
        converted = _relabelled(model, version, target) or version_converter.convert_version(model, target)
        onnx.checker.check_model(_with_shapes(converted))
    except (RuntimeError, ValueError, onnx.checker.ValidationError):
        return model, []  # the rule about opsets says what to do
    return converted, [Finding(Rule.OPSET, Level.FIXED, f"opset {version}", f"translated to {target}")]
