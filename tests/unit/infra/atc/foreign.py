"""Small classifiers in the shapes that exporters of other frameworks write, and models that nobody can compile.

Each is built operator by operator: names, layouts, operator sets and habits are those of the exporters; the weights are
random, from a fixed seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 5
SIZE = 16


@dataclass
class Graph:
    """A graph under construction; `weight` and `node` return the names of tensors."""

    seed: int = 7
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def weight(self, name: str, *shape: int, kind: Any = np.float32) -> str:
        values = self.random.normal(0, (2 / max(1, int(np.prod(shape[1:])))) ** 0.5, shape)
        return self.constant(name, values.astype(kind))

    def constant(self, name: str, values: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, name: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def norm(self, source: str, channels: int, name: str) -> str:
        """Batch normalisation with plausible statistics."""
        parts = [
            self.constant(f"{name}.{part}", values.astype(np.float32))
            for part, values in (
                ("weight", self.random.uniform(0.5, 1.5, channels)),
                ("bias", self.random.normal(0, 0.1, channels)),
                ("running_mean", self.random.normal(0, 0.1, channels)),
                ("running_var", self.random.uniform(0.5, 1.5, channels)),
            )
        ]
        return self.node("BatchNormalization", [source, *parts], f"{name}_out", name=f"/{name}/BatchNormalization")

    def model(
        self,
        inputs: Sequence[tuple[str, int, Sequence[int | str | None]]],
        outputs: Sequence[tuple[str, int, Sequence[int | str | None] | None]],
        opset: int = 13,
        domains: Sequence[tuple[str, int]] = (),
        **more: Any,
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "main_graph",
            [helper.make_tensor_value_info(*item) for item in inputs],
            [helper.make_tensor_value_info(*item) for item in outputs],
            self.weights,
        )
        imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*item) for item in domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8, **more)


FLOAT = TensorProto.FLOAT
OPEN = ("batch_size", 3, SIZE, SIZE)
SCORES = ("batch_size", CLASSES)


def _head(graph: Graph, source: str, channels: int, output: str, classes: int = CLASSES) -> str:
    pooled = graph.node("GlobalAveragePool", [source], "pooled", name="/avgpool/GlobalAveragePool")
    flat = graph.node("Flatten", [pooled], "flat", name="/Flatten", axis=1)
    parts = [graph.weight("fc.weight", classes, channels), graph.weight("fc.bias", classes)]
    return graph.node("Gemm", [flat, *parts], output, name="/fc/Gemm", transB=1)


def torch_resnet() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["input", graph.weight("conv1.weight", 8, 3, 3, 3)], "c1", "/conv1/Conv", pads=[1] * 4)
    x = graph.node("Relu", [graph.norm(x, 8, "bn1")], "r1", "/relu/Relu")
    y = graph.node(
        "Conv", [x, graph.weight("layer1.0.conv.weight", 8, 8, 3, 3)], "c2", "/layer1/layer1.0/conv/Conv", pads=[1] * 4
    )
    x = graph.node("Add", [graph.norm(y, 8, "layer1.0.bn"), x], "sum", "/layer1/layer1.0/Add")
    _head(graph, x, 8, "output")
    return graph.model([("input", FLOAT, OPEN)], [("output", FLOAT, SCORES)], 17, producer_name="pytorch")


def torch_view() -> onnx.ModelProto:
    """`x.view(x.size(0), -1)`, which exporters write with int64 shapes."""
    graph = Graph()
    x = graph.node("Conv", ["input", graph.weight("c.weight", 4, 3, 3, 3)], "c", "Conv_0", strides=[4, 4])
    shape = graph.node("Shape", [x], "shape", "Shape_1")
    first = graph.node("Gather", [shape, graph.constant("zero", np.int64(0))], "first", "Gather_2", axis=0)
    axes = graph.node("Constant", [], "axes", "Constant_3", value=numpy_helper.from_array(np.array([0]), "v"))
    first = graph.node("Unsqueeze", [first, axes], "first1", "Unsqueeze_4")
    rest = graph.constant("rest", np.array([-1]))
    whole = graph.node("Concat", [first, rest], "whole", "Concat_5", axis=0)
    x = graph.node("Reshape", [x, whole], "view", "Reshape_6")
    graph.node("Gemm", [x, graph.weight("w", CLASSES, 64), graph.weight("b", CLASSES)], "output", "Gemm_7", transB=1)
    return graph.model([("input", FLOAT, OPEN)], [("output", FLOAT, SCORES)], 13)


def torch_mobile() -> onnx.ModelProto:
    """Depthwise convolution and ReLU6, whose limits are inputs since opset 11."""
    graph = Graph()
    low, high = graph.constant("low", np.float32(0)), graph.constant("high", np.float32(6))
    x = graph.node("Conv", ["input", graph.weight("stem", 8, 3, 3, 3)], "stem_out", pads=[1] * 4, strides=[2, 2])
    x = graph.node("Clip", [graph.norm(x, 8, "features.0.1"), low, high], "relu6")
    x = graph.node("Conv", [x, graph.weight("depthwise", 8, 1, 3, 3)], "depth_out", group=8, pads=[1] * 4)
    x = graph.node("Clip", [graph.norm(x, 8, "features.1.1"), low, high], "relu6_1")
    _head(graph, x, 8, "logits")
    return graph.model([("input", FLOAT, OPEN)], [("logits", FLOAT, SCORES)], 11)


def torch_old() -> onnx.ModelProto:
    """PyTorch 1.0: weights are inputs, names are numbers, limits are attributes, Dropout stays."""
    graph = Graph()
    x = graph.node("Conv", ["input.1", graph.weight("1", 6, 3, 3, 3), graph.weight("2", 6)], "11", kernel_shape=[3, 3])
    x = graph.node("Clip", [x], "12", min=0.0, max=6.0)
    graph.nodes.append(helper.make_node("Dropout", [x], ["13", "14"], ratio=0.5))
    _head(graph, "13", 6, "20")
    model = graph.model([("input.1", FLOAT, (1, 3, SIZE, SIZE))], [("20", FLOAT, (1, CLASSES))], 9)
    model.graph.input.extend(
        helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in graph.weights
    )
    return model


def keras() -> onnx.ModelProto:
    """tf2onnx: NHWC with a transposition behind the input, colons in names, Softmax at the end, an unused domain."""
    graph = Graph()
    x = graph.node("Transpose", ["input_1:0"], "StatefulPartitionedCall/model/conv2d/Conv2D__6:0", perm=[0, 3, 1, 2])
    x = graph.node("Conv", [x, graph.weight("conv2d/kernel:0", 6, 3, 3, 3)], "conv2d/Conv2D:0", pads=[1] * 4)
    x = graph.node("Relu", [x], "model/conv2d/Relu:0")
    x = graph.node("GlobalAveragePool", [x], "mean:0")
    axes = graph.constant("axes:0", np.array([2, 3]))
    x = graph.node("Squeeze", [x, axes], "Squeeze:0")
    x = graph.node("MatMul", [x, graph.weight("dense/kernel:0", 6, CLASSES)], "dense/MatMul:0")
    x = graph.node("Add", [x, graph.weight("dense/bias:0", CLASSES)], "dense/BiasAdd:0")
    graph.node("Softmax", [x], "dense/Softmax:0", axis=1)
    shape = ("unk__30", SIZE, SIZE, 3)
    return graph.model(
        [("input_1:0", FLOAT, shape)], [("dense/Softmax:0", FLOAT, ("unk__31", CLASSES))], 13, [("ai.onnx.ml", 2)]
    )


def keras_bytes() -> onnx.ModelProto:
    """Takes the picture's bytes: `Rescaling` is a layer."""
    graph = Graph()
    x = graph.node("Cast", ["image_bytes"], "cast", to=FLOAT)
    x = graph.node("Mul", [x, graph.constant("scale", np.float32(1 / 255))], "scaled")
    x = graph.node("Transpose", [x], "planes", perm=[0, 3, 1, 2])
    x = graph.node("Conv", [x, graph.weight("k", 6, 3, 3, 3)], "conv")
    _head(graph, x, 6, "logits")
    shape = (None, SIZE, SIZE, 3)
    return graph.model([("image_bytes", TensorProto.UINT8, shape)], [("logits", FLOAT, (None, CLASSES))])


def keras_binary() -> onnx.ModelProto:
    """Two classes, one probability."""
    graph = Graph()
    x = graph.node("Transpose", ["x"], "planes", perm=[0, 3, 1, 2])
    x = graph.node("Conv", [x, graph.weight("k", 6, 3, 3, 3)], "conv")
    x = _head(graph, x, 6, "dense", classes=1)
    graph.node("Sigmoid", [x], "probability")
    return graph.model([("x", FLOAT, ("N", SIZE, SIZE, 3))], [("probability", FLOAT, ("N", 1))])


def paddle() -> onnx.ModelProto:
    """paddle2onnx: names with dots, h-swish in parts, constants as nodes, Softmax, Identity."""
    graph = Graph()
    x = graph.node(
        "Conv", ["x", graph.weight("conv2d_0.w_0", 8, 3, 3, 3)], "conv2d_0.tmp_0", "p2o.Conv.0", pads=[1] * 4
    )
    for name, value in (("three", 3.0), ("zero", 0.0), ("six", 6.0)):
        tensor = numpy_helper.from_array(np.array(value, np.float32), name)
        graph.node("Constant", [], name, f"p2o.Constant.{name}", value=tensor)
    moved = graph.node("Add", [x, "three"], "p2o.Add.0")
    limited = graph.node("Clip", [moved, "zero", "six"], "p2o.Clip.0")
    x = graph.node("Div", [graph.node("Mul", [x, limited], "p2o.Mul.0"), "six"], "hardswish_0.tmp_0")
    x = graph.node("Identity", [_head(graph, x, 8, "linear_1.tmp_1")], "identity_0")
    graph.node("Softmax", [x], "softmax_0.tmp_0", axis=-1)
    shape = (-1, 3, SIZE, SIZE)
    model = graph.model([("x", FLOAT, OPEN)], [("softmax_0.tmp_0", FLOAT, (-1, CLASSES))], 11)
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size  # Paddle writes -1 as a number
    return model


def paddle_nhwc() -> onnx.ModelProto:
    """A `data_format="NHWC"` network: a transposition around each convolution."""
    graph = Graph()
    x = "inputs"
    for index, (taken, made) in enumerate(((3, 6), (6, 8))):
        x = graph.node("Transpose", [x], f"t{index}_in", f"p2o.Transpose.{2 * index}", perm=[0, 3, 1, 2])
        x = graph.node("Conv", [x, graph.weight(f"conv2d_{index}.w_0", made, taken, 3, 3)], f"conv{index}")
        x = graph.node("Transpose", [x], f"t{index}_out", f"p2o.Transpose.{2 * index + 1}", perm=[0, 2, 3, 1])
        x = graph.node("Relu", [x], f"relu{index}")
    x = graph.node("ReduceMean", [x], "mean", axes=[1, 2], keepdims=0)
    graph.node("Gemm", [x, graph.weight("w", 8, CLASSES), graph.weight("b", CLASSES)], "scores")
    return graph.model([("inputs", FLOAT, (1, SIZE, SIZE, 3))], [("scores", FLOAT, (1, CLASSES))], 11)


def opset_7() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["data", graph.weight("w", 4, 3, 3, 3)], "c")
    x = graph.node(
        "BatchNormalization", [x, *(graph.constant(n, np.ones(4, np.float32)) for n in ("g", "h", "m", "v"))], "n"
    )
    _head(graph, x, 4, "prob")
    return graph.model([("data", FLOAT, (1, 3, SIZE, SIZE))], [("prob", FLOAT, (1, CLASSES))], 7)


def newest_opset() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    _head(graph, graph.node("Relu", [x], "r"), 4, "y")
    return graph.model([("x", FLOAT, ("s77", 3, SIZE, SIZE))], [("y", FLOAT, ("s77", CLASSES))], 21)


def several_outputs() -> onnx.ModelProto:
    """A classifier that also returns features, and an auxiliary head."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "features")
    _head(graph, x, 4, "logits")
    graph.node("Gemm", ["flat", graph.weight("aux.weight", 7, 4), graph.weight("aux.bias", 7)], "aux", transB=1)
    outputs: list[Any] = [("features", FLOAT, None), ("aux", FLOAT, ("b", 7)), ("logits", FLOAT, ("b", CLASSES))]
    return graph.model([("x", FLOAT, OPEN)], outputs)


def class_number() -> onnx.ModelProto:
    """Answers with the number of the class, int64."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    graph.node("ArgMax", [_head(graph, x, 4, "logits")], "label", axis=1, keepdims=0)
    return graph.model([("x", FLOAT, OPEN)], [("label", TensorProto.INT64, ("b",))])


def grey() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["Input3", graph.weight("w", 4, 1, 5, 5)], "c", auto_pad="SAME_UPPER")
    _head(graph, x, 4, "Plus214_Output_0")
    return graph.model([("Input3", FLOAT, (1, 1, SIZE, SIZE))], [("Plus214_Output_0", FLOAT, (1, CLASSES))], 8)


def batch_of_four() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    x = graph.node("GlobalAveragePool", [x], "p")
    x = graph.node("Reshape", [x, graph.constant("shape", np.array([4, 4]))], "flat")
    graph.node("Gemm", [x, graph.weight("v", 4, CLASSES)], "y")
    return graph.model([("x", FLOAT, (4, 3, SIZE, SIZE))], [("y", FLOAT, (4, CLASSES))])


def known_branch() -> onnx.ModelProto:
    """A scripted `if` whose condition is constant."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    value = [helper.make_tensor_value_info("branch_out", FLOAT, None)]
    branches = {
        f"{word}_branch": helper.make_graph([helper.make_node(kind, ["c"], ["branch_out"])], word, [], value)
        for word, kind in (("then", "Relu"), ("else", "Identity"))
    }
    condition = graph.constant("condition", np.array(True))
    x = graph.node("If", [condition], "chosen", **branches)
    _head(graph, x, 4, "y")
    return graph.model([("x", FLOAT, OPEN)], [("y", FLOAT, SCORES)], 16)


def local_function() -> onnx.ModelProto:
    """torch.onnx with dynamo: a module is a function of the model."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    graph.nodes.append(helper.make_node("torch_nn_modules_relu_1", [x], ["r"], domain="pkg.torch"))
    _head(graph, "r", 4, "y")
    model = graph.model([("x", FLOAT, OPEN)], [("y", FLOAT, SCORES)], 18, [("pkg.torch", 1)])
    body = [helper.make_node("Relu", ["a"], ["b"])]
    version = [helper.make_opsetid("", 18)]
    model.functions.append(
        helper.make_function("pkg.torch", "torch_nn_modules_relu_1", ["a"], ["b"], body, opset_imports=version)
    )
    return model


def clumsy() -> onnx.ModelProto:
    """Edited by hand: names twice, one domain twice, another without use, an inner tensor called `image`."""
    graph = Graph()
    x = graph.node("Conv", ["in put", graph.weight("w", 4, 3, 3, 3)], "image", name="layer")
    x = graph.node("Relu", [x], "r", name="layer")
    _head(graph, x, 4, "y")
    domains = [("ai.onnx", 13), ("com.microsoft", 1)]
    return graph.model([("in put", FLOAT, OPEN)], [("y", FLOAT, SCORES)], 13, domains)


def half() -> onnx.ModelProto:
    """Exported in float16."""
    graph = Graph()
    kind = np.float16
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3, kind=kind)], "c")
    x = graph.node("Flatten", [graph.node("GlobalAveragePool", [x], "p")], "f")
    graph.node("Gemm", [x, graph.weight("v", 4, CLASSES, kind=kind), graph.weight("b", CLASSES, kind=kind)], "y")
    half_float = TensorProto.FLOAT16
    return graph.model([("x", half_float, OPEN)], [("y", half_float, SCORES)])


def any_size() -> onnx.ModelProto:
    """Fully convolutional: batch, height and width are open."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    _head(graph, x, 4, "y")
    return graph.model([("x", FLOAT, ("b", 3, "h", "w"))], [("y", FLOAT, ("b", CLASSES))])


def idle_input() -> onnx.ModelProto:
    """A second input that nothing reads, as frozen Keras graphs have."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    _head(graph, x, 4, "y")
    return graph.model([("keras_learning_phase:0", TensorProto.BOOL, ()), ("x", FLOAT, OPEN)], [("y", FLOAT, SCORES)])


def log_probabilities() -> onnx.ModelProto:
    """LogSoftmax at the end, and scores with two more axes of size one."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    x = graph.node("GlobalAveragePool", [x], "p")
    x = graph.node("Conv", [x, graph.weight("v", CLASSES, 4, 1, 1)], "scores")
    graph.node("LogSoftmax", [x], "y", axis=1)
    return graph.model([("x", FLOAT, OPEN)], [("y", FLOAT, ("b", CLASSES, 1, 1))])


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    make.__name__: make
    for make in (
        torch_resnet, torch_view, torch_mobile, torch_old, keras, keras_bytes, keras_binary, paddle, paddle_nhwc,
        opset_7, newest_opset, several_outputs, class_number, grey, batch_of_four, known_branch, local_function,
        clumsy, half, any_size, idle_input, log_probabilities,
    )
}  # fmt: skip
"""Models that ship."""


def _plain(kind: str = "Relu", domain: str = "", opset: int = 13, **attributes: Any) -> onnx.ModelProto:
    """A classifier with one operator of the given kind in the middle."""
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    graph.nodes.append(helper.make_node(kind, [x], ["odd"], name="odd_one", domain=domain, **attributes))
    _head(graph, "odd", 4, "y")
    return graph.model([("x", FLOAT, OPEN)], [("y", FLOAT, SCORES)], opset, [(domain, 1)] if domain else [])


def _two_opsets() -> onnx.ModelProto:
    model = _plain()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 11))
    return model


def _in_training() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    parts = [graph.constant(name, np.ones(4, np.float32)) for name in "abcd"]
    node = helper.make_node("BatchNormalization", [x, *parts], ["n", "mean", "var"], name="bn", training_mode=1)
    graph.nodes.append(node)
    _head(graph, "n", 4, "y")
    return graph.model([("x", FLOAT, OPEN)], [("y", FLOAT, SCORES)], 15)


def _double() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Flatten", ["x"], "f")
    graph.node("Gemm", [x, graph.weight("w", 3 * SIZE * SIZE, CLASSES, kind=np.float64)], "y")
    return graph.model([("x", TensorProto.DOUBLE, OPEN)], [("y", TensorProto.DOUBLE, SCORES)])


def _loop() -> onnx.ModelProto:
    graph = Graph()
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["go_on"]), helper.make_node("Relu", ["state"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, ()),
            helper.make_tensor_value_info("going", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", FLOAT, None),
        ],
    )
    x = graph.node("Conv", ["x", graph.weight("w", 4, 3, 3, 3)], "c")
    count, going = graph.constant("count", np.int64(3)), graph.constant("true", np.array(True))
    graph.nodes.append(helper.make_node("Loop", [count, going, x], ["done"], name="loop", body=body))
    _head(graph, "done", 4, "y")
    return graph.model([("x", FLOAT, OPEN)], [("y", FLOAT, SCORES)])


def _boxes() -> onnx.ModelProto:
    graph = Graph()
    x = graph.node("Conv", ["x", graph.weight("w", CLASSES, 3, 1, 1)], "c")
    graph.node("NonZero", [x], "places", name="places")
    return graph.model([("x", FLOAT, OPEN)], [("places", TensorProto.INT64, (4, "n"))])


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str, str]] = {
    "two opsets": (_two_opsets, "domains", "versions 11 and 13"),
    "ONNX Runtime's own operator": (lambda: _plain("Gelu", "com.microsoft"), "operator", "com.microsoft::Gelu ×1"),
    "PyTorch's fall-back": (lambda: _plain("ATen", "org.pytorch.aten"), "operator", "org.pytorch.aten::ATen ×1"),
    "an operator of a later opset": (lambda: _plain("Gelu"), "operator", "Gelu ×1 does not exist in opset 13"),
    "training mode": (_in_training, "training", "BatchNormalization 'bn'"),
    "double precision": (_double, "type", "double tensors"),
    "a loop": (_loop, "subgraph", "Loop 'loop'"),
    "a shape that depends on data": (_boxes, "data-shape", "NonZero 'places'"),
    "random numbers": (lambda: _plain("RandomNormalLike"), "random", "RandomNormalLike 'odd_one'"),
    "an operator of a newer opset": (lambda: _plain("Swish", opset=24), "opset", "opset 24"),
}
"""Models that ATC refuses: maker, the rule that says so, a part of the sentence."""
