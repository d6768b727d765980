"""What an ONNX image classifier takes and answers: its picture input, its class scores, and what prevents its use."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import onnx
from onnx import TensorProto

from infra.atc.lint.findings import Finding, Level, Rule

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


def _dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value if dim.dim_value > 0 else 0 for dim in value.type.tensor_type.shape.dim]


def consumed(model: onnx.ModelProto) -> set[str]:
    """The names of the tensors that a node or an output of the model takes."""
    return {name for node in model.graph.node for name in node.input} | {item.name for item in model.graph.output}


def _read_input(model: onnx.ModelProto, reading: Reading) -> None:
    used = consumed(model)
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
