"""A small residual network for 32-pixel images, designed for the tuning score (docs/reference/tutorials.md T4).

The score takes 0.35 points a megabyte and 0.15 a millisecond, and gives 0.5 a percent: 100,000 parameters more must
earn 0.28 % to pay for themselves. So the network is narrow, and of few, plain layers; each stage widens before it
pools, so that nothing is thrown away that was not looked at. 24 million multiply-adds and 278,810 parameters for 32
pixels and ten classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import Tensor, nn, ops
from mindspore.common.initializer import HeNormal

if TYPE_CHECKING:
    from ..spec.train_spec import TrainSpec

_WIDTHS = (16, 32, 64, 80)  # of the stem and of the stages


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
        """Features [n, outputs, height, width]."""
        return self.relu(self.norm(self.conv(x)))


class Residual(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Two units, added to what goes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Unit(width, width)
        self.second = Unit(width, width)

    def construct(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        return x + self.second(self.first(x))


class Compact(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """A stem, three stages of a unit, a max-pooling and a residual pair, mean, dense.

    Args:
        classes: outputs.
        width: factor of the channels.
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
        """Logits [n, classes] of images [n, 3, size, size]."""
        x = self.pair1(self.pool(self.unit1(self.stem(image))))
        x = self.pair2(self.pool(self.unit2(x)))
        x = self.pair3(self.pool(self.unit3(x)))
        return self.head(self.mean(x, (2, 3)))


def build(spec: TrainSpec) -> nn.Cell:
    """The network of a specification, freshly initialised from MindSpore's seed."""
    return Compact(spec.classes, spec.width)
