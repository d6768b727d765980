"""Models that a compiler complains of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infra.air.reader import parse
from infra.air.writer import to_air
from tests.unit.infra.atc.emulator.networks import lenet, model_of, saved


def changed(change: Callable[[onnx.ModelProto], object]) -> Callable[[], object]:
    """Replace net.onnx by a changed one."""

    def write() -> None:
        network = lenet()
        change(network)
        saved(network, Path("net.onnx"))

    return write


def written(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text)


def reshaped() -> None:
    saved(lenet(flatten=False), Path("net.onnx"))


def looping() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["same"])], "then", [],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, None)],
    )  # fmt: skip
    node = helper.make_node("If", ["yes"], ["out"], name="branch", then_branch=body, else_branch=body)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in ("image", "out")]
    saved(model_of([node], ends[:1], ends[1:], [numpy_helper.from_array(np.array(True), "yes")]), Path("net.onnx"))


def texts() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.STRING, [1, 3, 32, 32]) for name in ("image", "out")]
    saved(model_of([helper.make_node("Identity", ["image"], ["out"])], ends[:1], ends[1:]), Path("net.onnx"))


def unfitting() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 32, 32]) for name in ("image", "out")]
    other = numpy_helper.from_array(np.zeros(5, np.float32), "other")
    saved(
        model_of([helper.make_node("Add", ["image", "other"], ["out"])], ends[:1], ends[1:], [other]), Path("net.onnx")
    )


def whole_numbers() -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.INT32, [1, 3, 32, 32]) for name in ("image", "out")]
    saved(model_of([helper.make_node("Abs", ["image"], ["out"])], ends[:1], ends[1:]), Path("net.onnx"))


def changed_air(kind: str, attribute: str, value: bytes) -> None:
    """Write net.air with one thing changed in its operators of type `kind`: an attribute, or else the type."""
    model = parse(to_air(lenet()))
    for op in model.graph[0].op:
        if op.type == kind and attribute:
            op.attr[attribute].s = value
        elif op.type == kind:
            op.type = value.decode()
    Path("net.air").write_bytes(model.SerializeToString())
