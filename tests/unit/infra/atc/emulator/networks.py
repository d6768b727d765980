"""Small networks for the tests, built with ONNX's own helpers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def lenet(batch: int | str = 1, *, flatten: bool = True, size: int = 32) -> onnx.ModelProto:
    """The tutorial's LeNet5: input `image`, output `logits`, opset 11, fixed random weights.

    With `flatten=False` the features are reshaped to a fixed batch, as some exporters do.
    """
    random = np.random.default_rng(5)
    side = ((size - 4) // 2 - 4) // 2
    shapes = {"c1": (6, 3, 5, 5), "c2": (16, 6, 5, 5), "f1": (120, 16 * side * side), "f2": (84, 120), "f3": (10, 84)}
    weights = {}
    for name, shape in shapes.items():
        weights[name] = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
    weights |= {f"{name}_b": random.normal(0, 0.1, shapes[name][0]).astype(np.float32) for name in ("f1", "f2", "f3")}
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    middle = helper.make_node("Flatten", ["p2"], ["flat"], name="flatten", axis=1)
    if not flatten:
        initializers.append(numpy_helper.from_array(np.array([1, 16 * side * side], np.int64), "to"))
        middle = helper.make_node("Reshape", ["p2", "to"], ["flat"], name="reshape")
    nodes = [
        helper.make_node("Conv", ["image", "c1"], ["a1"], name="conv1", kernel_shape=[5, 5]),
        helper.make_node("Relu", ["a1"], ["r1"], name="relu1"),
        helper.make_node("MaxPool", ["r1"], ["p1"], name="pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", "c2"], ["a2"], name="conv2", kernel_shape=[5, 5]),
        helper.make_node("Relu", ["a2"], ["r2"], name="relu2"),
        helper.make_node("MaxPool", ["r2"], ["p2"], name="pool2", kernel_shape=[2, 2], strides=[2, 2]),
        middle,
        helper.make_node("Gemm", ["flat", "f1", "f1_b"], ["d1"], name="dense1", transB=1),
        helper.make_node("Gemm", ["d1", "f2", "f2_b"], ["d2"], name="dense2", transB=1),
        helper.make_node("Gemm", ["d2", "f3", "f3_b"], ["logits"], name="dense3", transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, size, size])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10])
    return model_of(nodes, [image], [logits], initializers)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    opset: int = 11,
) -> onnx.ModelProto:
    """A model in the IR version that belongs to opset 11."""
    graph = helper.make_graph(list(nodes), "net", list(inputs), list(outputs), list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=6)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    """Write the model and give its path."""
    path.write_bytes(model.SerializeToString())
    return path


def weights_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """The initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
