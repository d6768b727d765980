"""MobileNetV2: inverted residual blocks with depthwise convolutions, for boards with little memory.

M. Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2. Up to 64 pixels, stem and
second stage keep the size, as the paper's strides would leave one pixel of a CIFAR image. There is no dropout: its
random state would not survive an interrupted training.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal, Normal

if TYPE_CHECKING:
    from ..spec.train_spec import TrainSpec

# Table 2: expansion, channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280
_SMALL = 64  # pixels


def channels(count: float) -> int:
    """Return the multiple of 8 next to `count`, at least 8 and not more than a tenth below it (the authors' rule)."""
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count else rounded


class Unit(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Convolution without bias, normalisation and, if asked for, ReLU6; output size = input size / stride."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            pad_mode="pad",
            padding=kernel // 2,
            group=groups,
            weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU6() if active else nn.Identity()

    def construct(self, x: Tensor) -> Tensor:
        """Return features [n, outputs, height / stride, …]."""
        return self.relu(self.norm(self.conv(x)))


class Inverted(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """1×1 expansion, 3×3 depthwise convolution, linear 1×1 projection; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = Unit(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depth = Unit(hidden, hidden, 3, stride, groups=hidden)
        self.project = Unit(hidden, outputs, 1, active=False)
        self.same = stride == 1 and inputs == outputs

    def construct(self, x: Tensor) -> Tensor:
        """Return features [n, outputs, height / stride, …]."""
        y = self.project(self.depth(self.expand(x)))
        return x + y if self.same else y


class MobileNetV2(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Stem, seven stages of inverted blocks, 1×1 convolution, global mean, dense layer.

    Args:
        classes: number of classes.
        width: multiplier of the channel counts; the last convolution never has fewer than 1,280.
        small: keep the size in the stem and the second stage.
    """

    def __init__(self, classes: int = 10, width: float = 1.0, *, small: bool = False) -> None:
        super().__init__()
        inputs = channels(_STEM * width)
        self.stem = Unit(3, inputs, 3, 1 if small else 2)
        blocks = []
        for index, (expansion, count, depth, stride) in enumerate(_STAGES):
            outputs = channels(count * width)
            first = 1 if small and index == 1 else stride
            for place in range(depth):
                blocks.append(Inverted(inputs, outputs, first if place == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.SequentialCell(blocks)
        last = channels(_LAST * max(1.0, width))
        self.last = Unit(inputs, last, 1)
        self.mean = ops.ReduceMean(keep_dims=False)
        self.head = nn.Dense(last, classes, weight_init=Normal(0.01), bias_init="zeros")

    def construct(self, image: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, 3, size, size]."""
        return self.head(self.mean(self.last(self.blocks(self.stem(image))), (2, 3)))


# torchvision's names: features.0 is the stem, features.1 to 17 the blocks, features.18 the last convolution.
_STATISTICS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def native_name(_spec: TrainSpec, name: str) -> str:
    """Return this network's name of the parameter that torchvision calls `name`."""
    if found := re.fullmatch(r"classifier\.1\.(weight|bias)", name):
        return f"head.{found[1]}"
    if found := re.fullmatch(r"features\.(0|18)\.([01])\.(\w+)", name):
        return _in_unit("stem" if found[1] == "0" else "last", found[2] == "1", found[3])
    if found := re.fullmatch(r"features\.(\d+)\.conv\.(\d)(?:\.([01]))?\.(\w+)", name):
        return _in_block(int(found[1]) - 1, int(found[2]), found[3], found[4])
    return name


def _in_block(block: int, place: int, part: str | None, last: str) -> str:
    """A unit has two parts there, but those of the projection are two places; the first block has no expansion."""
    units = ("depth",) if block == 0 else ("expand", "depth")
    if part is not None:
        return _in_unit(f"blocks.{block}.{units[place]}", part == "1", last)
    return _in_unit(f"blocks.{block}.project", place > len(units), last)


def _in_unit(unit: str, normalisation: bool, last: str) -> str:
    return f"{unit}.norm.{_STATISTICS.get(last, last)}" if normalisation else f"{unit}.conv.{last}"


def build(spec: TrainSpec) -> nn.Cell:
    """Build the network of a specification, initialised from MindSpore's seed."""
    return MobileNetV2(spec.classes, spec.width, small=spec.image_size <= _SMALL)
