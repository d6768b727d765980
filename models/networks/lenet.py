"""LeNet5 of the tuning tutorial (docs/reference/tutorials.md T4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import Tensor, nn

if TYPE_CHECKING:
    from ..spec.train_spec import TrainSpec


class LeNet5(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Two convolutions without bias, three dense layers without activations between them.

    For 10 classes and 32 pixels: 450 + 2,400 + 48,120 + 10,164 + 850 = 61,984 parameters.

    Args:
        classes: number of classes.
        image_size: height and width of the input in pixels.
        width: multiplier of the channel counts and the hidden layers.
    """

    def __init__(self, classes: int = 10, image_size: int = 32, width: float = 1.0) -> None:
        super().__init__()
        first, second, hidden, last = (round(width * size) for size in (6, 16, 120, 84))
        side = ((image_size - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(3, first, 5, pad_mode="valid")
        self.conv2 = nn.Conv2d(first, second, 5, pad_mode="valid")
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2, 2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Dense(second * side * side, hidden)
        self.fc2 = nn.Dense(hidden, last)
        self.fc3 = nn.Dense(last, classes)

    def construct(self, image: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, 3, size, size]."""
        x = self.pool(self.relu(self.conv1(image)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.fc3(self.fc2(self.fc1(self.flatten(x))))


def build(spec: TrainSpec) -> nn.Cell:
    """Build the network of a specification, initialised from MindSpore's seed."""
    return LeNet5(spec.classes, spec.image_size, spec.width)
