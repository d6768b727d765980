"""Make any ONNX image classifier one that boards feed: input `image`, float32 [n, 3, size, size]; output logits.

What differs is put into the graph, so that the board's program stays as it is: a transposition for a channels-last
input, a conversion for one of bytes, and the removal of what follows the logits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from infra.atc.lint.findings import Finding, Level, Rule, some

INPUT = "image"
# ITU-R BT.601, the weights of Pillow's conversion to grey.
GREY = (0.299, 0.587, 0.114)
_SIZED = (3, 1)  # channel counts that are pictures
_NAMES = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8"}


class Answers(Enum):
    """What the user's model answers with."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    """Softmax of the logits."""
    PROBABILITY = "probability"
    """Sigmoid, the probability of the second of two classes."""
    NUMBER = "number"
    """The number of the best class."""


@dataclass(frozen=True)
class Feed:
    """How the user's model is fed.

    Attributes:
        name: of the input.
        dtype: NumPy's name of its element type.
        channels: 3 or 1.
        last: True when channels are the last axis.
        batch: pictures a call; 0 for any number.
        size: height and width in pixels; 0 when both are open.
    """

    name: str
    dtype: str
    channels: int
    last: bool
    batch: int
    size: int


@dataclass
class Reading:
    """What a model is, and the findings that prevent its use."""

    feed: Feed | None = None
    answers: Answers = Answers.LOGITS
    output: str = ""
    logits: str = ""
    findings: list[Finding] = field(default_factory=list)

    def refuse(self, rule: Rule, what: str, remedy: str) -> None:
        """Add an error."""
        self.findings.append(Finding(rule, Level.ERROR, what, remedy))

    def fixed(self, rule: Rule, what: str, done: str) -> None:
        """Add a change."""
        self.findings.append(Finding(rule, Level.FIXED, what, done))


def read(model: onnx.ModelProto, classes: int) -> Reading:
    """Find the picture input and the class scores of a model; nothing is changed.

    Args:
        model: with weights that are no inputs, as `infra.atc.lint.fixes.apply` leaves it.
        classes: number of classes that the user names.
    """
    reading = Reading()
    _read_input(model, reading)
    _read_output(model, classes, reading)
    return reading


def adapt(model: onnx.ModelProto, reading: Reading) -> onnx.ModelProto:
    """A copy with the input `image`, float32 [n, 3, size, size], and the logits as its only output.

    Args:
        model: that `reading` is of, with no errors in it.
        reading: of the model; the changes are added to its findings.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    assert reading.feed is not None  # noqa: S101 - a reading without errors has one
    _cut_outputs(changed, reading)
    _drop_idle_inputs(changed, reading)
    _wrap_input(changed, reading.feed, reading)
    return changed


def _dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value if dim.dim_value > 0 else 0 for dim in value.type.tensor_type.shape.dim]


def _consumed(model: onnx.ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.input} | {item.name for item in model.graph.output}


def _read_input(model: onnx.ModelProto, reading: Reading) -> None:
    used = _consumed(model)
    values = [value for value in model.graph.input if value.name in used]
    pictures = [value for value in values if len(_dims(value)) == 4]
    if len(values) != 1 or len(pictures) != 1:
        names = ", ".join(f"{value.name} {_dims(value)}" for value in values) or "none"
        reading.refuse(
            Rule.INPUT,
            f"the model must take one picture, and its inputs are {names}",
            "export a network that takes one tensor [n, 3, height, width] or [n, height, width, 3]",
        )
        return
    (value,) = pictures
    dims, kind = _dims(value), value.type.tensor_type.elem_type
    last = dims[1] not in _SIZED and dims[3] in _SIZED
    channels, height, width = (dims[3], dims[1], dims[2]) if last else (dims[1], dims[2], dims[3])
    if channels not in _SIZED:
        reading.refuse(
            Rule.INPUT, f"input {value.name} {dims} has no 3 or 1 channels", "a picture has 3, or 1 for grey"
        )
    elif height != width:
        reading.refuse(
            Rule.INPUT,
            f"input {value.name} is {height} pixels high and {width} wide",
            "boards make square pictures: export with equal height and width",
        )
    elif kind not in _NAMES:
        word = TensorProto.DataType.Name(kind).lower()
        reading.refuse(Rule.INPUT, f"input {value.name} is {word}", "a picture is float32, float16 or uint8")
    else:
        reading.feed = Feed(value.name, _NAMES[kind], channels, last, dims[0], height)


def _read_output(model: onnx.ModelProto, classes: int, reading: Reading) -> None:
    shapes = {value.name: _dims(value) for value in (*model.graph.value_info, *model.graph.output)}
    floats = {
        value.name
        for value in (*model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
    }
    makers = {name: node for node in model.graph.node for name in node.output}
    names = [value.name for value in model.graph.output]
    found = [name for name in names if name in floats and _is_scores(shapes[name], classes)]
    pairs = [name for name in names if classes == 2 and name in floats and _is_scores(shapes[name], 1)]
    numbers = [name for name in names if name in makers and makers[name].op_type == "ArgMax"]
    if found:
        _read_scores(makers, found, reading)
    elif pairs and (node := makers.get(pairs[0])) is not None and node.op_type == "Sigmoid":
        reading.answers, reading.output, reading.logits = Answers.PROBABILITY, pairs[0], node.input[0]
    elif numbers and _is_scores(shapes.get(makers[numbers[0]].input[0], []), classes):
        reading.answers, reading.output = Answers.NUMBER, numbers[0]
        reading.logits = makers[numbers[0]].input[0]
    else:
        _refuse_outputs({name: shapes[name] for name in names}, classes, reading)


def _read_scores(makers: dict[str, onnx.NodeProto], found: list[str], reading: Reading) -> None:
    """The first output with a score a class; a Softmax at its end is left off."""
    reading.output = reading.logits = found[0]
    node = makers.get(found[0])
    while node is not None and node.op_type in ("Identity", "Softmax"):
        if node.op_type == "Softmax":
            reading.answers, reading.logits = Answers.PROBABILITIES, node.input[0]
            break
        node = makers.get(node.input[0])


def _is_scores(dims: list[int], classes: int) -> bool:
    """[n, classes], with any number of axes of size one; the batch may be missing."""
    return bool(dims) and [dim for dim in dims[1:] if dim != 1] == ([] if classes == 1 else [classes])


def _refuse_outputs(shapes: dict[str, list[int]], classes: int, reading: Reading) -> None:
    text = ", ".join(f"{name} {dims}" for name, dims in shapes.items())
    scores = {dims[-1] for dims in shapes.values() if len(dims) == 2}
    remedy = "name as many classes as the model has, or export the network that ends with a score a class"
    if classes + 1 in scores:
        remedy = "a class is not named; TensorFlow's ImageNet models have one without pictures first: `background`"
    reading.refuse(Rule.OUTPUT, f"no output has a score for each of {classes} classes: {text}", remedy)


def _cut_outputs(model: onnx.ModelProto, reading: Reading) -> None:
    """Let the logits be the only output, and remove what only the others need."""
    others = [value.name for value in model.graph.output if value.name != reading.output]
    if others:
        reading.fixed(Rule.OUTPUT, f"more outputs: {some(others)}", f"only {reading.output} is kept")
    ends = {
        Answers.PROBABILITIES: ("ends with Softmax", "left off: boards compute probabilities from logits"),
        Answers.PROBABILITY: ("ends with Sigmoid, the probability of one of two classes", "made logits of both"),
        Answers.NUMBER: ("answers with the number of the best class", "answers with the scores that it comes from"),
    }
    if reading.answers in ends:
        reading.fixed(Rule.OUTPUT, *ends[reading.answers])
    logits = reading.logits
    if reading.answers is Answers.PROBABILITY:
        logits = _both_classes(model, reading.logits)
    kind = _kind_of(model, reading.logits)
    _keep(model, logits)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(logits, kind, None))
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    model.CopyFrom(inferred)


def _kind_of(model: onnx.ModelProto, name: str) -> int:
    """The element type of a tensor; float32 where inference does not say."""
    known = {item.name: item.type.tensor_type.elem_type for item in (*model.graph.value_info, *model.graph.output)}
    return int(known.get(name, TensorProto.FLOAT))


def _both_classes(model: onnx.ModelProto, logit: str) -> str:
    """Append [0, logit], whose softmax is [1 − p, p] for p = sigmoid(logit)."""
    number = helper.tensor_dtype_to_np_dtype(_kind_of(model, logit)).type(0)
    zero = numpy_helper.from_array(number, "atlasflow_zero")
    model.graph.initializer.append(zero)
    model.graph.node.append(helper.make_node("Mul", [logit, zero.name], ["atlasflow_no"], name="atlasflow_no"))
    model.graph.node.append(
        helper.make_node("Concat", ["atlasflow_no", logit], ["atlasflow_logits"], name="atlasflow_logits", axis=1)
    )
    return "atlasflow_logits"


def _keep(model: onnx.ModelProto, output: str) -> None:
    """Remove the nodes and weights that do not lead to `output`."""
    needed, kept = {output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    weights = [item for item in model.graph.initializer if item.name in needed]
    infos = [item for item in model.graph.value_info if item.name in needed]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(weights)
    model.graph.value_info.extend(infos)


def _drop_idle_inputs(model: onnx.ModelProto, reading: Reading) -> None:
    used = _consumed(model)
    idle = [value for value in model.graph.input if value.name not in used]
    for value in idle:
        model.graph.input.remove(value)
    if idle:
        reading.fixed(Rule.INPUT, f"inputs that nothing reads: {some([value.name for value in idle])}", "dropped")


def _wrap_input(model: onnx.ModelProto, feed: Feed, reading: Reading) -> None:
    """Put what makes the model's own input from [n, 3, size, size] float32 in front of it."""
    steps: list[tuple[str, list[str], dict[str, Any], str]] = []
    if feed.channels == 1:
        weights = numpy_helper.from_array(_grey_weights(), "atlasflow_grey_weights")
        model.graph.initializer.append(weights)
        steps.append(("Conv", [weights.name], {"kernel_shape": [1, 1]}, "grey pictures, from RGB by ITU-R BT.601"))
    if feed.last:
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}, "channels last (NHWC), from NCHW by a transposition"))
    if feed.dtype != "float32":
        to = helper.np_dtype_to_tensor_dtype(_numpy_dtype(feed.dtype))
        steps.append(("Cast", [], {"to": to}, f"{feed.dtype}, from float32 by a conversion"))
    if not steps and feed.name == INPUT:
        return
    _rename(model, INPUT, "image_inside")
    source = feed.name if feed.name != INPUT else "image_inside"
    nodes, tensor = [], INPUT
    for index, (kind, more, attributes, what) in enumerate(steps):
        target = source if index == len(steps) - 1 else f"atlasflow_input_{index}"
        nodes.append(helper.make_node(kind, [tensor, *more], [target], name=f"atlasflow_{kind}", **attributes))
        tensor = target
        reading.fixed(Rule.INPUT, f"input {feed.name} takes {what}", "put in front of the model")
    if not steps:
        _rename(model, source, INPUT)
        reading.fixed(Rule.NAMES, f"the input is called {feed.name!r}", f"renamed to {INPUT}")
    rest = list(model.graph.node)
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend([*nodes, *rest])
    dims = [feed.batch or "batch", 3, feed.size, feed.size]
    model.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, dims))


def _rename(model: onnx.ModelProto, before: str, after: str) -> None:
    """Rename a tensor."""
    for node in model.graph.node:
        node.input[:] = [after if name == before else name for name in node.input]
        node.output[:] = [after if name == before else name for name in node.output]
    for item in (*model.graph.initializer, *model.graph.value_info, *model.graph.output, *model.graph.input):
        if item.name == before:
            item.name = after


def _grey_weights() -> Any:
    import numpy as np

    return np.array(GREY, np.float32).reshape(1, 3, 1, 1)


def _numpy_dtype(name: str) -> Any:
    import numpy as np

    return np.dtype(name)
