"""Make any ONNX image classifier one that boards feed: input `image`, float32 [n, 3, size, size]; output logits.

What differs is put into the graph, so that the board's program stays as it is: a transposition for a channels-last
input, a conversion for one of bytes, and the removal of what follows the logits.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from infra.atc.lint.findings import Rule, some
from tasks.release.foreign.classifier import GREY, Answers, Feed, Reading, consumed

INPUT = "image"


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
    used = consumed(model)
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
