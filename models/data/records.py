"""The records of CIFAR-10's binary files: one label byte, then 32 x 32 red, green and blue values, row by row.

Source: docs/reference/cifar10.md §7.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..failures import Damage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
CLASSES = 10
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")  # batches.meta.txt


def read_records(path: Path) -> NDArray[np.uint8]:
    """Read the records of one file: uint8 [n, 3073], n ≥ 1.

    Raises:
        Damage: the file is empty, its size is not a multiple of a record, or a label is above 9.
    """
    name = f"{path.parent.name}/{path.name}"
    content = np.fromfile(path, np.uint8)
    if not content.size or content.size % RECORD_BYTES:
        raise Damage(
            f"{name} has {content.size:,} bytes, which is not a whole number of records of {RECORD_BYTES:,} bytes",
            "fetch the data set again",
        )
    records = content.reshape(-1, RECORD_BYTES)
    wrong = np.flatnonzero(records[:, 0] >= CLASSES)
    if wrong.size:
        raise Damage(
            f"{name}: record {wrong[0]:,} has the label {records[wrong[0], 0]}; labels end at {CLASSES - 1}",
            "fetch the data set again",
        )
    return records


def decode(records: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the pixels, uint8 [n, 32, 32, 3], RGB, and the labels, int32 [n], of records, uint8 [n, 3073]."""
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int32)


def encode(pixels: NDArray[np.uint8], labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return records, uint8 [n, 3073]: the inverse of `decode`."""
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    return np.concatenate([labels[:, np.newaxis].astype(np.uint8), planes], axis=1)
