"""Training batches: order, augmentation, normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..preprocess import Contract
    from .images import Images


@dataclass(frozen=True)
class Pipeline:
    """Produce the batches of an epoch. Order and augmentation depend only on the seed and the epoch.

    Attributes:
        images: the training images.
        batch_size: images per batch over all devices; the last incomplete batch is dropped.
        contract: the input contract: size, colour order, mean and standard deviation.
        seed: seed of order and augmentation.
        classes: number of classes.
        crop: pixels of padding before a random crop; 0 switches it off.
        border: the padding is `black`, or continues the image `mirrored`.
        flip: mirror half of the images.
        in_turn: mirror the half that the epoch before did not, instead of drawing anew (K. Jordan 2024).
        cutout: side of a square of mean colour, in pixels of the result; 0 switches it off.
        mixup: alpha of the Beta distribution; 0 switches it off. Partners come from the whole batch, on any device.
        label_smoothing: share of the label that is spread over all classes.
        rank: index of this device.
        ranks: number of devices; each gets an equal share of every batch.
    """

    images: Images
    batch_size: int
    contract: Contract
    seed: int
    classes: int
    crop: int = 0
    border: str = "black"
    flip: bool = False
    in_turn: bool = False
    cutout: int = 0
    mixup: float = 0.0
    label_smoothing: float = 0.0
    rank: int = 0
    ranks: int = 1

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return len(self.images) // self.batch_size

    @property
    def soft(self) -> bool:
        """True when the targets are probabilities instead of class numbers."""
        return self.mixup > 0 or self.label_smoothing > 0

    def epoch(self, number: int) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield the batches of epoch `number`, counted from 1.

        Yields:
            tensors float32 [n, 3, size, size]; labels int32 [n] or, if `soft`, probabilities float32 [n, classes].
        """
        random = np.random.default_rng([self.seed, number])
        order = random.permutation(len(self.images))
        offsets = random.integers(0, 2 * self.crop + 1, (len(self.images), 2))
        flips = random.random(len(self.images)) < 0.5
        if self.in_turn:
            first = np.random.default_rng([self.seed, 0]).random(len(self.images)) < 0.5
            flips = (first ^ (number % 2 == 0))[order]
        centres = random.integers(0, self.contract.size, (len(self.images), 2))
        weights = random.beta(self.mixup, self.mixup, self.steps) if self.mixup else ()
        share = self.batch_size // self.ranks

        def batch(step: int, rank: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
            start = step * self.batch_size + rank * share
            selected = slice(start, start + share)
            indices = order[selected]
            pixels = self.images.pixels[indices]
            pixels = augment(pixels, self.crop, offsets[selected], flips[selected] if self.flip else None, self.border)
            tensor = self.contract.tensor(pixels)
            cut_out(tensor, self.cutout, centres[selected])
            labels = self.images.labels[indices]
            return tensor, self._probabilities(labels) if self.soft else labels

        for step in range(self.steps):
            tensor, labels = batch(step, self.rank)
            if self.mixup:
                opposite = self.ranks - 1 - self.rank
                others = (tensor, labels) if opposite == self.rank else batch(step, opposite)
                tensor, labels = (mix(*pair, weights[step]) for pair in zip((tensor, labels), others))  # noqa: B905
            yield tensor, labels

    def _probabilities(self, labels: NDArray[np.int32]) -> NDArray[np.float32]:
        one_hot = np.eye(self.classes, dtype=np.float32)[labels]
        return one_hot * np.float32(1 - self.label_smoothing) + np.float32(self.label_smoothing / self.classes)


def augment(
    pixels: NDArray[np.uint8],
    padding: int,
    offsets: NDArray[np.int64],
    flips: NDArray[np.bool_] | None,
    border: str = "black",
) -> NDArray[np.uint8]:
    """Crop each image at a random place of its padding, and mirror some.

    Args:
        pixels: uint8 [n, height, width, 3].
        padding: pixels on each side.
        offsets: [n, 2], row and column of the crop's corner in the padded image, 0 to 2 * padding.
        flips: bool [n], or None to mirror none.
        border: the padding is `black`, or continues the image `mirrored` at its outermost pixels.

    Returns:
        uint8 [n, height, width, 3].
    """
    count, height, width, _ = pixels.shape
    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = np.pad(pixels, edges, mode="reflect" if border == "mirrored" else "constant")
    result = np.empty_like(pixels)
    for index in range(count):
        row, column = offsets[index]
        window = padded[index, row : row + height, column : column + width]
        result[index] = window[:, ::-1] if flips is not None and flips[index] else window
    return result


def cut_out(tensor: NDArray[np.float32], side: int, centres: NDArray[np.int64]) -> None:
    """Set a square of each image to 0, the mean colour (T. DeVries and G. Taylor 2017).

    Args:
        tensor: float32 [n, 3, height, width], normalised; changed in place.
        side: side of the square in pixels, clipped at the image's edges; 0 changes nothing.
        centres: [n, 2], row and column of each square's centre.
    """
    if not side:
        return
    for image, (row, column) in zip(tensor, centres):  # noqa: B905 - newer than Python 3.9
        top, left = max(row - side // 2, 0), max(column - side // 2, 0)
        image[:, top : row - side // 2 + side, left : column - side // 2 + side] = 0.0


def mix(values: NDArray[np.float32], others: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """Mix each item with its opposite in the batch, whose order is random (mixup, H. Zhang et al. 2017).

    Args:
        values: float32 [n, …], one device's share of the batch.
        others: the mirrored share of the batch; `values` itself on a single device.
        weight: weight of the item itself, 0 to 1.
    """
    return values * np.float32(weight) + others[::-1] * np.float32(1.0 - weight)
