"""The prepared form of a data set: pictures of one square size as uint8 arrays, in files read a few images at a time.

    dataset.json                 the description
    <part>/pixels-00000.npy …    uint8 [n, side, side, 3], RGB
    <part>/labels.npy            int32 [n], of all pixel files of the part

The parts are `train` and `eval`. Images are read with `pread` and not mapped, since mapped pages count as memory of the
process: any number of images trains in the memory of a batch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from bisect import bisect_right
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from ..failures import Damage, InputError
from ..preprocess import FITS, INTERPOLATIONS, ORIENTATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DESCRIPTION = "dataset.json"
SHARD_BYTES = 64 * 2**20
_LABELS = "labels.npy"
_SCHEMA = 1


@dataclass(frozen=True)
class Shard:
    """A file with pixels: its name in the folder of its part, the number of images, and its SHA-256."""

    name: str
    images: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """The pixel files of a part in order, and the SHA-256 of its labels."""

    shards: tuple[Shard, ...]
    labels: str


@dataclass(frozen=True)
class Description:
    """What is known of a prepared data set.

    Attributes:
        side: height and width of the images in pixels.
        exact: True when the images are already what `Contract.image` makes of the pictures for a network of this size;
            False when they are the pictures themselves, which are square and may be resized to any size.
        fit, interpolation, orientation: of the input contract (`models/preprocess.py`).
        mean, std: of the training images, by channel in RGB order, on a scale of 0 to 1.
        parts: by name.
    """

    side: int
    exact: bool
    fit: str
    interpolation: str
    orientation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    parts: Mapping[str, Part]

    def to_json(self) -> str:
        """Return the content of `dataset.json`; equal values give equal text."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=1, sort_keys=True) + "\n"


def read_description(folder: Path) -> Description | None:
    """Read `dataset.json`; None for a data set in another form.

    Raises:
        Damage: the file is damaged, or of a newer version.
    """
    path = folder / DESCRIPTION
    if not path.exists():
        return None
    return parse_description(path.read_text(encoding="utf-8"), str(path))


def parse_description(text: str, source: str) -> Description:
    """Read the text of `dataset.json`.

    Raises:
        Damage: it is damaged, or of a newer version; names `source`.
    """
    try:
        said = json.loads(text)
        parts = {
            name: Part(tuple(Shard(**shard) for shard in part["shards"]), part["labels"])
            for name, part in said["parts"].items()
        }
        if said.pop("schema") != _SCHEMA:
            raise ValueError("its schema is unknown")
        found = Description(**{**said, "mean": tuple(said["mean"]), "std": tuple(said["std"]), "parts": parts})
        known = (found.fit in FITS, found.interpolation in INTERPOLATIONS, found.orientation in ORIENTATIONS)
        if not all(known):
            raise ValueError("its input contract is unknown")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damage(f"{source} is damaged: {error}", "prepare the data set again") from error
    return found


class Shards:
    """Images in files, read when they are asked for: `shards[index]` is uint8 [n, side, side, 3].

    Args:
        folder: of the part.
        part: its files.
        side: height and width in pixels.

    Raises:
        Damage: a file is missing or has another size than its images.
    """

    def __init__(self, folder: Path, part: Part, side: int) -> None:
        self._row = side * side * 3
        self._ends = list(accumulate(shard.images for shard in part.shards))
        self._files: list[tuple[int, int]] = []  # descriptor, offset of the first image
        self.shape = (self._ends[-1] if self._ends else 0, side, side, 3)
        for shard in part.shards:
            self._files.append(_open(folder / shard.name, (shard.images, side, side, 3)))

    def __del__(self) -> None:
        for descriptor, _ in self._files:
            os.close(descriptor)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | NDArray[Any]) -> NDArray[np.uint8]:
        rows = range(*index.indices(len(self))) if isinstance(index, slice) else [int(row) for row in index]
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for place, row in enumerate(rows):
            if not 0 <= row < len(self):
                raise IndexError(f"image {row} of {len(self)}")
            self._read(row, images[place])
        return images

    def _read(self, row: int, image: NDArray[np.uint8]) -> None:
        number = bisect_right(self._ends, row)
        descriptor, offset = self._files[number]
        first = self._ends[number - 1] if number else 0
        target = image.reshape(-1).data
        done = 0
        while done < self._row:  # the kernel may give less than was asked for
            got = os.preadv(descriptor, [target[done:]], offset + (row - first) * self._row + done)
            if not got:
                raise Damage(f"image {row} is missing: a file of the data set was cut", "prepare the data set again")
            done += got


def read_part(folder: Path, description: Description, part: str) -> tuple[Shards, NDArray[np.int32], str]:
    """Open a part: its images, its labels, and a SHA-256 that stands for both.

    Raises:
        InputError: the data set has no such part.
        Damage: a file is missing or damaged.
    """
    if part not in description.parts:
        raise InputError(f"{folder} has no part '{part}'", f"it has {', '.join(description.parts)}")
    files = description.parts[part]
    pixels = Shards(folder / part, files, description.side)
    path = folder / part / _LABELS
    try:
        content = path.read_bytes()
        labels: NDArray[np.int32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Damage(f"{path} cannot be read: {error}", "prepare the data set again") from error
    if hashlib.sha256(content).hexdigest() != files.labels or labels.shape != (len(pixels),):
        raise Damage(f"{path} is not the one of {DESCRIPTION}", "prepare the data set again")
    digest = hashlib.sha256(repr((description.side, files)).encode()).hexdigest()
    return pixels, labels, digest


def write_part(folder: Path, labels: Sequence[int], images: Iterable[NDArray[np.uint8]], side: int) -> Part:
    """Write the files of a part.

    Args:
        folder: of the part; made if needed.
        labels: of the images, in order.
        images: uint8 [side, side, 3], as many as labels.
        side: height and width in pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    most = max(1, SHARD_BYTES // (side * side * 3))
    shards: list[Shard] = []
    source = iter(images)
    for first in range(0, len(labels), most):
        count = min(most, len(labels) - first)
        name = f"pixels-{len(shards):05d}.npy"
        shards.append(Shard(name, count, _write_shard(folder / name, count, source, side)))
    np.save(folder / _LABELS, np.asarray(labels, np.int32))
    return Part(tuple(shards), hashlib.sha256((folder / _LABELS).read_bytes()).hexdigest())


def _write_shard(path: Path, count: int, images: Iterable[NDArray[np.uint8]], side: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        head = _head((count, side, side, 3))
        digest.update(head)
        file.write(head)
        for _, image in zip(range(count), images):  # noqa: B905 - `images` goes on in the next file
            content = np.ascontiguousarray(image).tobytes()
            digest.update(content)
            file.write(content)
    return digest.hexdigest()


def _head(shape: tuple[int, ...]) -> bytes:
    """The first bytes of an array file of uint8 (numpy.lib.format, version 1.0)."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")


def _open(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """Open a pixel file: its descriptor, and the offset of its first image."""
    try:
        head = _head(shape)
        with path.open("rb") as file:
            if file.read(len(head)) != head or path.stat().st_size != len(head) + math.prod(shape):
                raise ValueError("it has another size than its images")
            return os.dup(file.fileno()), len(head)
    except (OSError, ValueError) as error:
        raise Damage(f"{path} cannot be read: {error}", "prepare the data set again") from error
