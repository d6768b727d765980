"""ATC's graph fusion, as far as it changes numbers: fold a batch normalisation into the convolution before it.

Fusion comes before rounding: the float16 weights are those of the fused convolution, and activations are rounded once
less.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

PASS = "ConvBatchnormFusionPass"  # noqa: S105 - the name of a pass over the graph


def fuse(model: onnx.ModelProto, kept: Collection[str]) -> dict[str, int]:
    """Fold each batch normalisation that is the only consumer of a convolution.

    Args:
        model: the graph, changed in place.
        kept: names of operators that are not fused.

    Returns:
        Name of the pass to the number of fusions.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    done = 0
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or uses[conv.output[0]] != 1 or norm.name in kept:
            continue
        names = [*conv.input[1:], *norm.input[1:]]
        if len([name for name in norm.output if name]) != 1 or any(name not in weights for name in names):
            continue
        values = {name: numpy_helper.to_array(weights[name]) for name in names}
        epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), 1e-5)
        if (values[norm.input[4]] + epsilon > 0).all():
            _fold(graph, conv, norm, values, epsilon)
            done += 1
    if done:
        drop_unused(graph)
    return {PASS: done}


def _fold(
    graph: onnx.GraphProto, conv: onnx.NodeProto, norm: onnx.NodeProto, values: dict[str, NDArray[Any]], epsilon: float
) -> None:
    """Compute one convolution: w·s and (b - mean)·s + beta, with s = gamma / sqrt(variance + epsilon)."""
    scale, shift, mean, variance = (values[name].astype(np.float64) for name in norm.input[1:5])
    with np.errstate(over="ignore", invalid="ignore"):  # of weights that are infinite, the results are so too
        factor = scale / np.sqrt(variance + epsilon)
        weight = values[conv.input[1]] * factor.reshape(-1, 1, 1, 1)
        bias = ((values[conv.input[2]] if len(conv.input) > 2 else 0.0) - mean) * factor + shift
        fused = [array.astype(np.float32) for array in (weight, bias)]
    names = [f"{norm.output[0]}__weight", f"{norm.output[0]}__bias"]
    for name, array in zip(names, fused, strict=True):
        graph.initializer.append(numpy_helper.from_array(array, name))
    conv.input[1:] = names
    conv.output[0] = norm.output[0]
    graph.node.remove(norm)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the initializers that no operator uses."""
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
