"""A network that learns small pictures in few epochs: a whitening layer, three plain blocks, a dense layer.

After K. Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), §2 and §3, here with swish
in place of GELU, and without a bias of the whitening layer. 118 million multiply-adds and 1,968,000 weights for 32
pixels, ten classes and width 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mindspore
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec

_PATCH = 2  # side of the whitened patches, in pixels
_EPSILON = 5e-4  # added to the variance of a patch's components
_WIDTHS = (64, 256, 256)  # channels of the blocks
_KEPT = 0.6  # share of the running statistics that stays in a step
_SCALE = 1.0 / 9.0  # of the logits


def whitening_weights(tensors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return filters whose results on 2×2 patches are uncorrelated with variance 1, and their opposites.

    The filters are the eigenvectors of the patches' covariance, divided by the root of the eigenvalues; largest first.

    Args:
        tensors: normalised images, float32 [n, 3, height, width].

    Returns:
        float32 [24, 3, 2, 2].
    """
    count, channels, height, width = tensors.shape
    size = channels * _PATCH * _PATCH
    rows, columns = height - _PATCH + 1, width - _PATCH + 1
    covariance = np.zeros((size, size))
    for image in tensors:
        shifted = [image[:, i : i + rows, j : j + columns] for i in range(_PATCH) for j in range(_PATCH)]
        patches = np.stack(shifted, axis=1).reshape(size, -1).astype(np.float64)
        covariance += patches @ patches.T
    covariance /= count * rows * columns
    values, vectors = np.linalg.eigh(covariance)
    filters = (vectors / np.sqrt(values + _EPSILON)).T[::-1]
    # The sign of an eigenvector is arbitrary: let the first largest entry be positive.
    largest = np.abs(filters).argmax(axis=1)
    filters = filters * np.sign(filters[np.arange(size), largest])[:, None]
    both = np.concatenate([filters, -filters]).reshape(2 * size, channels, _PATCH, _PATCH)
    return np.asarray(both, np.float32)


class _Product(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    def __init__(self) -> None:
        super().__init__()
        self.sigmoid = ops.Sigmoid()

    def construct(self, x: Tensor) -> Tensor:
        return x * self.sigmoid(x)


class Swish(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """x · sigmoid(x), by operators that every compiler supports."""

    kernel = "swish"

    def __init__(self) -> None:
        super().__init__()
        self.function = _Product()

    def construct(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return self.function(x)


class Unit(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """3×3 convolution without bias, max-pooling if wanted, normalisation without scale, swish.

    The convolution starts as the identity of its inputs; further outputs are uniform, as wide as 1 / √fan-in.
    """

    def __init__(self, inputs: int, outputs: int, *, pooled: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, pad_mode="pad", padding=1, weight_init=_unit_weights(inputs, outputs))
        self.pool = nn.MaxPool2d(2, 2) if pooled else nn.Identity()
        self.norm = nn.BatchNorm2d(outputs, momentum=_KEPT)
        self.norm.gamma.requires_grad = False
        self.swish = Swish()

    def construct(self, x: Tensor) -> Tensor:
        """Return features [n, outputs, height, width], or half as high and wide."""
        return self.swish(self.norm(self.pool(self.conv(x))))


class Fast(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Whitening, three blocks of two units, maximum over the rest, dense layer without bias.

    Args:
        classes: number of classes.
        size: height and width of the images in pixels.
        width: multiplier of the channel counts.
    """

    channels_last = True  # see `models.kernels.layers.Form`

    def __init__(self, classes: int = 10, size: int = 32, width: float = 1.0) -> None:
        super().__init__()
        filters = 2 * 3 * _PATCH * _PATCH
        self.whitening = nn.Conv2d(3, filters, _PATCH, pad_mode="valid")
        self.whitening.weight.requires_grad = False
        self.swish = Swish()
        widths = (filters, *(8 * max(1, round(width * channels / 8)) for channels in _WIDTHS))
        units = []
        for inputs, outputs in zip(widths, widths[1:]):  # noqa: B905, RUF007 - newer than Python 3.9
            units += [Unit(inputs, outputs, pooled=True), Unit(outputs, outputs, pooled=False)]
        self.units = nn.SequentialCell(units)
        left = (size - _PATCH + 1) // 2 ** len(_WIDTHS)
        self.pool = nn.MaxPool2d(left, left)
        self.flat = nn.Flatten()
        self.scale = Tensor(_SCALE, mindspore.float32)  # a plain number is exported with a conversion of its type
        self.head = nn.Dense(widths[-1], classes, weight_init=_uniform((classes, widths[-1])), has_bias=False)

    def construct(self, image: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, 3, size, size]."""
        x = self.units(self.swish(self.whitening(image)))
        return self.head(self.flat(self.pool(x))) * self.scale

    def fit(self, tensors: NDArray[np.float32]) -> None:
        """Set the whitening layer from normalised training images [n, 3, size, size]; before the first step."""
        weight: Parameter = self.whitening.weight
        weight.set_data(Tensor(whitening_weights(tensors)))


def _uniform(shape: tuple[int, ...]) -> Tensor:
    """Return values between ±1 / √fan-in, from NumPy's generator, which MindSpore's seed sets too."""
    bound = 1.0 / math.sqrt(math.prod(shape[1:]))
    return Tensor(np.random.uniform(-bound, bound, shape).astype(np.float32))


def _unit_weights(inputs: int, outputs: int) -> Tensor:
    weights = _uniform((outputs, inputs, 3, 3)).asnumpy().copy()
    same = np.arange(min(inputs, outputs))
    weights[same] = 0.0
    weights[same, same, 1, 1] = 1.0
    return Tensor(weights)


def build(spec: TrainSpec) -> nn.Cell:
    """Build the network of a specification, initialised from MindSpore's seed."""
    return Fast(spec.classes, spec.image_size, spec.width)
