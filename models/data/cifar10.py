"""CIFAR-10 in its binary layout, and the batches that a training or an evaluation sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..failures import Damage, InputError, SpecError
from ..preprocess import Normalisation, normalise, resize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # label, then 1,024 red, green and blue values, row by row; docs/reference/cifar10.md §7.4
CLASSES = 10


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: uint8 [n, 32, 32, 3], RGB.
        labels: int32 [n].
        sha256: of the files' bytes in the order of their names.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)


def read_images(folder: Path, part: str, classes: int = CLASSES) -> Images:
    """Read `train/data_batch_*.bin` or `eval/test_batch.bin`.

    Args:
        folder: of the data set.
        part: `train` or `eval`.
        classes: how many classes the network tells apart.

    Raises:
        InputError: there are no such files.
        SpecError: an image belongs to a class that the network does not have.
        Damage: a file's size is no multiple of a record, or a label is above 9.
    """
    pattern = {"train": "data_batch_*.bin", "eval": "test_batch.bin"}[part]
    paths = sorted((folder / part).glob(pattern))
    if not paths:
        raise InputError(f"there is no {part}/{pattern} in {folder}", "give the folder that holds train/ and eval/")
    digest = hashlib.sha256()
    parts = []
    for path in paths:
        data = path.read_bytes()
        digest.update(data)
        parts.append(_records(path, data))
    records = np.concatenate(parts)
    if records[:, 0].max() >= classes:
        raise SpecError(f"classes: {folder / part} has images of class {records[:, 0].max()}", "10 for CIFAR-10")
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return Images(pixels, records[:, 0].astype(np.int32), digest.hexdigest())


def _records(path: Path, data: bytes) -> NDArray[np.uint8]:
    if not data or len(data) % RECORD:
        raise Damage(
            f"{path} has {len(data):,} bytes, which is no whole number of records of {RECORD:,} bytes",
            "fetch the data set again",
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    wrong = np.flatnonzero(records[:, 0] >= CLASSES)
    if len(wrong):
        raise Damage(
            f"{path}: record {wrong[0]:,} has the label {records[wrong[0], 0]}, above {CLASSES - 1}",
            "fetch the data set again",
        )
    return records


@dataclass(frozen=True)
class Pipeline:
    """Makes the batches of an epoch: order, crop and flip follow from the seed and the epoch alone.

    Attributes:
        images: what to draw from.
        batch_size: images a batch over all devices; a last incomplete batch is dropped.
        size: height and width in pixels of the result.
        normalisation: the contract.
        seed: of order and augmentation.
        crop: pixels of black padding before a random crop; 0 for none.
        flip: mirror half of the images.
        cutout: side of a square of mean colour in pixels of the result; 0 for none.
        mixup: of the Beta distribution; 0 for none. Partners come from the whole batch, whichever device has them.
        label_smoothing: share of the label that is spread over all classes.
        classes: number of classes.
        rank: of this device.
        ranks: number of devices; each gets its share of every batch.
    """

    images: Images
    batch_size: int
    size: int
    normalisation: Normalisation
    seed: int
    crop: int = 0
    flip: bool = False
    cutout: int = 0
    mixup: float = 0.0
    label_smoothing: float = 0.0
    classes: int = CLASSES
    rank: int = 0
    ranks: int = 1

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.images) // self.batch_size

    @property
    def soft(self) -> bool:
        """True when targets are probabilities."""
        return self.mixup > 0 or self.label_smoothing > 0

    def epoch(self, number: int) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """The batches of epoch `number`, counted from 1.

        Yields:
            float32 [n, 3, size, size], and labels int32 [n] or, when `soft`, probabilities float32 [n, classes].
        """
        random = np.random.default_rng([self.seed, number])
        order = random.permutation(len(self.images))
        offsets = random.integers(0, 2 * self.crop + 1, (len(self.images), 2))
        flips = random.random(len(self.images)) < 0.5
        centres = random.integers(0, self.size, (len(self.images), 2))
        shares = random.beta(self.mixup, self.mixup, self.steps) if self.mixup else ()
        share = self.batch_size // self.ranks

        def made(step: int, rank: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
            first = step * self.batch_size + rank * share
            places = slice(first, first + share)
            chosen = order[places]
            pixels = self.images.pixels[chosen]
            pixels = augment(pixels, self.crop, offsets[places], flips[places] if self.flip else None)
            tensor = normalise(resize(pixels, self.size), self.normalisation)
            cut_out(tensor, self.cutout, centres[places])
            labels = self.images.labels[chosen]
            return tensor, self._probabilities(labels) if self.soft else labels

        for step in range(self.steps):
            tensor, labels = made(step, self.rank)
            if self.mixup:
                opposite = self.ranks - 1 - self.rank
                others = (tensor, labels) if opposite == self.rank else made(step, opposite)
                tensor, labels = (mix(*pair, shares[step]) for pair in zip((tensor, labels), others))  # noqa: B905
            yield tensor, labels

    def _probabilities(self, labels: NDArray[np.int32]) -> NDArray[np.float32]:
        sure = np.eye(self.classes, dtype=np.float32)[labels]
        return sure * np.float32(1 - self.label_smoothing) + np.float32(self.label_smoothing / self.classes)


def augment(
    pixels: NDArray[np.uint8], padding: int, offsets: NDArray[np.int64], flips: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Shift each image within black padding, and mirror some.

    Args:
        pixels: uint8 [n, height, width, 3].
        padding: pixels on every side.
        offsets: [n, 2], row and column of the crop's corner in the padded image, 0 to 2 * padding.
        flips: bool [n], or None for no mirroring.

    Returns:
        uint8 [n, height, width, 3].
    """
    count, height, width, _ = pixels.shape
    padded = np.zeros((count, height + 2 * padding, width + 2 * padding, 3), np.uint8)
    padded[:, padding : padding + height, padding : padding + width] = pixels
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
        side: of the square, which may stick out of the image; 0 for none.
        centres: [n, 2], row and column.
    """
    if not side:
        return
    for image, (row, column) in zip(tensor, centres):  # noqa: B905 - newer than Python 3.9
        top, left = max(row - side // 2, 0), max(column - side // 2, 0)
        image[:, top : row - side // 2 + side, left : column - side // 2 + side] = 0.0


def mix(values: NDArray[np.float32], others: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Mix each item with its opposite in the batch (H. Zhang et al. 2017); the order of a batch is random already.

    Args:
        values: float32 [n, …], a device's share of the batch.
        others: the share on the opposite side of the batch; the same where one device has the whole.
        share: of each item itself, 0 to 1.
    """
    return values * np.float32(share) + others[::-1] * np.float32(1.0 - share)
