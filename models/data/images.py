"""The labelled images of a data set's parts `train` and `eval`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..failures import InputError, SpecError
from .records import CLASSES, decode, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_FILES = {"train": "data_batch_*.bin", "eval": "test_batch.bin"}


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: uint8 [n, 32, 32, 3], RGB.
        labels: int32 [n].
        sha256: of the files' bytes, in the order of the file names.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)


def read_images(folder: Path, part: str, classes: int = CLASSES) -> Images:
    """Read `train/data_batch_*.bin` or `eval/test_batch.bin`.

    Args:
        folder: root of the data set.
        part: `train` or `eval`.
        classes: number of classes of the network.

    Raises:
        InputError: the files do not exist.
        SpecError: a label is outside the network's classes.
        Damage: a file is damaged; see `read_records`.
    """
    paths = sorted((folder / part).glob(_FILES[part]))
    if not paths:
        raise InputError(
            f"{folder} does not contain {part}/{_FILES[part]}", "name the folder that contains train/ and eval/"
        )
    digest = hashlib.sha256()
    parts = []
    for path in paths:
        parts.append(read_records(path))
        digest.update(parts[-1].ravel().data)
    pixels, labels = decode(np.concatenate(parts))
    if labels.max() >= classes:
        raise SpecError(f"classes: {folder / part} has images of class {labels.max()}", "10 for CIFAR-10")
    return Images(pixels, labels, digest.hexdigest())
