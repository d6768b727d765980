"""A small residual network for 32-pixel images, designed for the tuning score (docs/reference/tutorials.md T4).

The score subtracts 0.35 points per megabyte and 0.15 per millisecond, and adds 0.5 per percent of accuracy: 100,000
more parameters must gain 0.28 %. So the network is narrow, with few, plain layers; each stage widens before it pools,
so that pooling loses no information too early. 24 million multiply-adds and 278,810 parameters for 32 pixels and ten
classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

if TYPE_CHECKING:
    from ..spec.train_spec import TrainSpec

_WIDTHS = (16, 32, 64, 80)  # channels of the stem and of the stages


class Unit(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """3×3 convolution without bias, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            3,
            pad_mode="pad",
            padding=1,
            weight_init=HeNormal(mode="fan_in", nonlinearity="relu"),
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()

    def construct(self, x: Tensor) -> Tensor:
        """Return features [n, outputs, height, width]."""
        return self.relu(self.norm(self.conv(x)))


class Residual(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Two units with an identity shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Unit(width, width)
        self.second = Unit(width, width)

    def construct(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.second(self.first(x))


class Compact(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Stem, three stages (unit, max-pooling, residual pair), global mean, dense layer.

    Args:
        classes: number of classes.
        width: multiplier of the channel counts.
    """

    def __init__(self, classes: int = 10, width: float = 1.0) -> None:
        super().__init__()
        stem, first, second, third = (round(width * size) for size in _WIDTHS)
        self.stem = Unit(3, stem)
        self.unit1, self.pair1 = Unit(stem, first), Residual(first)
        self.unit2, self.pair2 = Unit(first, second), Residual(second)
        self.unit3, self.pair3 = Unit(second, third), Residual(third)
        self.pool = nn.MaxPool2d(2, 2)
        self.mean = ops.ReduceMean(keep_dims=False)
        self.head = nn.Dense(third, classes)

    def construct(self, image: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, 3, size, size]."""
        x = self.pair1(self.pool(self.unit1(self.stem(image))))
        x = self.pair2(self.pool(self.unit2(x)))
        x = self.pair3(self.pool(self.unit3(x)))
        return self.head(self.mean(x, (2, 3)))


def build(spec: TrainSpec) -> nn.Cell:
    """Build the network of a specification, initialised from MindSpore's seed."""
    return Compact(spec.classes, spec.width)
