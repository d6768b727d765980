"""Run by test_compiled.py in a process of its own: results and gradients with and without the compiled kernels."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from models.training import runtime

runtime.prepare(1)

import mindspore  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import Tensor, nn, ops  # noqa: E402

from models.kernels import build as kernels  # noqa: E402
from models.kernels import layers  # noqa: E402
from models.networks import registry  # noqa: E402
from models.spec import train_spec  # noqa: E402
from models.training.step import TrainStep  # noqa: E402


def wanted_threads(groups: Path = Path()) -> int:
    del groups
    return int(os.environ["COMPARED_THREADS"])


if "COMPARED_THREADS" in os.environ:
    kernels.cores = wanted_threads


class Layer(nn.Cell):
    """A layer whose result is weighted, so that every element of it has a gradient of its own."""

    def __init__(self, layer: nn.Cell) -> None:
        super().__init__()
        self.layer = layer

    def construct(self, x: Tensor, weights: Tensor) -> Tensor:
        return (self.layer(x) * weights).sum()


def layer_case(
    build: Any, shape: Any, ties: bool = False, away: bool = False, exchanged: int = 1, precision: str = "float32"
) -> Any:
    """Largest relative differences of result, gradients and running statistics of one layer.

    Args:
        build: makes the layer.
        shape: of the images.
        ties: many equal values.
        away: no value is near 0.
        exchanged: how many layers use the kernels.
        precision: of the kernels.
    """
    random = np.random.default_rng(3)
    x = random.standard_normal(shape).astype(np.float32)
    if ties:
        x = np.maximum(np.round(x), 0)
    if away:
        x += np.sign(x)
    found = []
    for exchange in (False, True):
        mindspore.set_seed(5)
        cell = build()
        cell.set_train(True)
        for parameter in cell.get_parameters():
            values = np.random.default_rng(parameter.size).uniform(0.5, 1.5, parameter.shape)
            parameter.set_data(Tensor(values.astype(np.float32)))
        if exchange:
            assert layers.install(cell, precision) == exchanged
        y = cell(Tensor(x))
        weights = Tensor(np.random.default_rng(4).standard_normal(y.shape).astype(np.float32))
        step = Layer(cell)
        step.set_train(True)
        gradients = ops.grad(step, 0, cell.trainable_params() or None)
        given = gradients(Tensor(x), weights)
        dx, rest = given if cell.trainable_params() else (given, ())
        still = [p.asnumpy() for p in cell.get_parameters() if not p.requires_grad]
        found.append([y.asnumpy(), dx.asnumpy(), *(one.asnumpy() for one in rest), *still])
    return max(relative(one, other) for one, other in zip(*found, strict=True))


def left_alone(build: Any, shape: Any) -> Any:
    """Difference that `install` makes to a layer for which there is no kernel; it must not touch it."""
    x = Tensor(np.random.default_rng(3).standard_normal(shape).astype(np.float32))
    cell = build()
    cell.set_train(True)
    before = cell(x).asnumpy()
    assert layers.install(cell) == 0
    return relative(before, cell(x).asnumpy())


def network_case(name: Any, shape: Any, stem: str = "native") -> Any:
    """Largest relative difference of a parameter's gradient, and of the loss."""
    spec = train_spec.with_fields(train_spec.TrainSpec(), {"network": name, "image_size": shape[-1], "stem": stem})
    build = __import__(registry.module_of(name), fromlist=["build"]).build
    random = np.random.default_rng(1)
    image = Tensor(random.standard_normal(shape).astype(np.float32))
    label = Tensor(random.integers(0, 10, shape[0]).astype(np.int32))
    found = []
    for exchange in (False, True):
        mindspore.set_seed(7)
        network = build(spec)
        network.set_train(True)
        smooth(network)
        weigh_branches(network)
        before = [parameter.name for parameter in network.get_parameters()]
        if exchange:
            assert layers.install(network) > 0
        assert [parameter.name for parameter in network.get_parameters()] == before
        step = TrainStep(network, nn.SGD(network.trainable_params()))
        value, gradients = step.gradients(image, label)
        found.append([value.asnumpy(), *(gradient.asnumpy() for gradient in gradients)])
    # A shift just before a normalisation has the gradient 0 but for rounding; nothing is relative to that.
    least = 1e-3 * max(float(np.abs(one).max()) for one in found[0][1:])
    return max(relative(one, other, least) for one, other in zip(*found, strict=True))


def smooth(network: Any) -> None:
    """Put a smooth function in place of ReLU, at whose kink a last bit decides about a whole gradient."""
    for _, cell in network.cells_and_names():
        if isinstance(getattr(cell, "relu", None), (nn.ReLU, nn.ReLU6)):
            cell.relu = nn.SiLU()


def weigh_branches(network: Any) -> None:
    """Let every residual branch count: with gamma 0, as some networks start, no gradient goes through its layers."""
    for parameter in network.trainable_params():
        if parameter.name.endswith("gamma"):
            parameter.set_data(Tensor(np.full(parameter.shape, 0.5, np.float32)))


def relative(one: Any, other: Any, least: float = 1e-12) -> Any:
    """Largest difference over the largest value, which counts as at least `least`."""
    assert one.shape == other.shape
    return float(np.abs(one - other).max() / max(np.abs(one).max(), least))


LAYERS = {
    "convolution": lambda: layer_case(lambda: nn.Conv2d(16, 32, 3, pad_mode="pad", padding=1), (4, 16, 12, 12)),
    "convolution same stride 2": lambda: layer_case(lambda: nn.Conv2d(5, 7, 3, 2, pad_mode="same"), (2, 5, 11, 14)),
    "convolution valid": lambda: layer_case(lambda: nn.Conv2d(3, 6, 5, pad_mode="valid"), (2, 3, 32, 32)),
    "convolution 1x1 stride 2": lambda: layer_case(lambda: nn.Conv2d(8, 64, 1, 2, pad_mode="pad"), (3, 8, 9, 9)),
    "convolution 7x7": lambda: layer_case(lambda: nn.Conv2d(3, 8, 7, 2, pad_mode="pad", padding=3), (2, 3, 20, 20)),
    "convolution uneven padding, dilation, bias": lambda: layer_case(
        lambda: nn.Conv2d(4, 6, (3, 2), (1, 2), "pad", (1, 0, 2, 1), (2, 1), has_bias=True), (2, 4, 10, 9)
    ),
    "convolution in groups": lambda: layer_case(
        lambda: nn.Conv2d(8, 16, 3, pad_mode="pad", padding=1, group=4), (2, 8, 8, 8)
    ),
    "convolution of each channel": lambda: layer_case(
        lambda: nn.Conv2d(24, 24, 3, 2, pad_mode="pad", padding=1, group=24), (2, 24, 8, 8)
    ),
    "normalisation": lambda: layer_case(lambda: nn.BatchNorm2d(6), (4, 6, 9, 7)),
    "normalisation of large images": lambda: layer_case(lambda: nn.BatchNorm2d(3, momentum=0.7), (2, 3, 40, 33)),
    "normalisation of single pixels": lambda: layer_case(lambda: nn.BatchNorm2d(130, eps=1e-3), (8, 130, 1, 1)),
    "ReLU6": lambda: layer_case(
        lambda: nn.SequentialCell(nn.Conv2d(1, 3, 1), nn.ReLU6()), (3, 1, 61, 240), exchanged=2
    ),
    "pooling": lambda: layer_case(lambda: nn.MaxPool2d(2, 2), (3, 5, 12, 12)),
    "pooling of equals": lambda: layer_case(lambda: nn.MaxPool2d(2, 2), (3, 5, 12, 12), ties=True),
    "pooling of equals, odd size": lambda: layer_case(lambda: nn.MaxPool2d(2, 2), (3, 5, 13, 11), ties=True),
    "pooling same of pairs, odd size": lambda: layer_case(
        lambda: nn.MaxPool2d(2, 2, pad_mode="same"), (2, 3, 13, 11), ties=True
    ),
    "pooling same, overlapping": lambda: layer_case(lambda: nn.MaxPool2d(3, 2, pad_mode="same"), (2, 4, 16, 15)),
    "pooling same, overlapping equals": lambda: layer_case(
        lambda: nn.MaxPool2d(3, 2, pad_mode="same"), (2, 4, 16, 15), ties=True
    ),
    "pooling of one": lambda: layer_case(lambda: nn.MaxPool2d(1, 2), (2, 4, 8, 9)),
    # With one channel in, ReLU sees the weight (0.5 to 1.5) times the pixel: it decides the same in spite of rounding.
    "convolution, ReLU, pooling": lambda: layer_case(
        lambda: nn.SequentialCell(nn.Conv2d(1, 6, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        (3, 1, 12, 12),
        away=True,
        exchanged=2,
    ),
    "pooling with padding, left alone": lambda: left_alone(
        lambda: nn.MaxPool2d(3, 2, pad_mode="pad", padding=1), (2, 4, 8, 8)
    ),
}
BFLOAT16 = {
    "convolution": lambda: layer_case(
        lambda: nn.Conv2d(16, 32, 3, pad_mode="pad", padding=1), (4, 16, 12, 12), precision="bfloat16"
    ),
}
NETWORKS = {
    "lenet5": lambda: network_case("lenet5", (8, 3, 32, 32)),
    "compact": lambda: network_case("compact", (8, 3, 32, 32)),
    "fast94": lambda: network_case("fast94", (8, 3, 32, 32)),
    "fast94 of 23 pixels": lambda: network_case("fast94", (3, 3, 23, 23)),
    "mobilenetv2": lambda: network_case("mobilenetv2", (8, 3, 32, 32)),
    "resnet20": lambda: network_case("resnet20", (8, 3, 32, 32)),
    "resnet18": lambda: network_case("resnet18", (8, 3, 64, 64)),
    "resnet50": lambda: network_case("resnet50", (8, 3, 64, 64)),
    "resnet50 3x3": lambda: network_case("resnet50", (4, 3, 32, 32), "3x3"),
}
cases = {"layers": LAYERS, "bfloat16": BFLOAT16, "networks": NETWORKS}[sys.argv[1]]
chosen = sys.argv[2:] or list(cases)
print(json.dumps({name: cases[name]() for name in chosen}))
