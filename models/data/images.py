"""The labelled images of a data set's parts `train` and `eval`, its class names, and its input contract."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..failures import InputError, SpecError
from ..preprocess import PRESETS, Contract, Normalisation
from .prepared import DESCRIPTION, read_description, read_part, write_part
from .records import decode, encode, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec
    from .prepared import Description

_FILES = {"train": "data_batch_*.bin", "eval": "test_batch.bin"}
NAMES = "batches.meta.txt"
MEASURED = "measured"


class Pixels(Protocol):
    """Images in memory or in files: uint8 [n, height, width, 3], RGB; an index gives an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | NDArray[Any], /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: uint8 [n, side, side, 3], RGB.
        labels: int32 [n].
        sha256: of pixels and labels.
    """

    pixels: Pixels
    labels: NDArray[np.int32]
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)


def read_images(folder: Path, part: str, classes: int | None = None) -> Images:
    """Read a part of a data set: prepared images, or CIFAR-10's `train/data_batch_*.bin` and `eval/test_batch.bin`.

    Args:
        folder: root of the data set.
        part: `train` or `eval`.
        classes: number of classes of the network; None to take any label.

    Raises:
        InputError: the files do not exist.
        SpecError: a label is outside the network's classes.
        Damage: a file is damaged; see `read_records` and `read_part`.
    """
    description = read_description(folder)
    images = _records(folder, part) if description is None else Images(*read_part(folder, description, part))
    if classes is not None and len(images) and images.labels.max() >= classes:
        raise SpecError(
            f"classes: {folder / part} has images of class {images.labels.max()}",
            "set classes to the number of the data set's class names",
        )
    return images


def write_images(folder: Path, part: str, pixels: NDArray[np.uint8], labels: NDArray[np.int32], *, like: Path) -> None:
    """Write a part of a data set in the form, and with the input contract, of another data set.

    Args:
        folder: root of the new data set.
        part: `eval`, or with prepared images any other.
        pixels: uint8 [n, side, side, 3], RGB.
        labels: int32 [n].
        like: root of the other data set.
    """
    description = read_description(like)
    if description is None:
        target = folder / part / _FILES[part]
        target.parent.mkdir(parents=True)
        target.write_bytes(encode(pixels, labels).tobytes())
        return
    written = write_part(folder / part, labels.tolist(), pixels, description.side)
    text = replace(description, parts={part: written}).to_json()
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the class names of a data set, in the order of their numbers.

    Raises:
        InputError: the file is missing.
    """
    try:
        text = (folder / NAMES).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{folder} does not contain {NAMES}", "one class name a line") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def read_contract(folder: Path, spec: TrainSpec) -> Contract:
    """Return the input contract of a network that is trained on this data set; see `contract_of`."""
    return contract_of(read_description(folder), spec)


def contract_of(description: Description | None, spec: TrainSpec) -> Contract:
    """Return the input contract of a network.

    Args:
        description: of its data set; None for CIFAR-10's records, square pictures of 32 pixels.
        spec: of its training.

    Raises:
        SpecError: the data set was prepared for another size, or has no measured normalisation.
    """
    values = normalisation(spec.normalisation, description)
    if description is None:
        return Contract(spec.image_size, values)
    if description.exact and description.side != spec.image_size:
        raise SpecError(
            f"image_size: the data set was prepared for {description.side} pixels, not {spec.image_size}",
            "download it again with this size",
        )
    return Contract(spec.image_size, values, description.fit, description.interpolation, description.orientation)


def normalisation(name: str, description: Description | None) -> Normalisation:
    """Look up a normalisation: a preset, `measured`, or six numbers, the means and then the standard deviations.

    Raises:
        SpecError: it is `measured`, and the data set has no measured values.
    """
    if name in PRESETS:
        return PRESETS[name]
    if name != MEASURED:
        red, green, blue, *std = (float(part) for part in name.split(","))
        return Normalisation((red, green, blue), (std[0], std[1], std[2]), "RGB")
    if description is None:
        raise SpecError("normalisation: CIFAR-10's records have no measured values", "set normalisation=cifar10")
    return Normalisation(description.mean, description.std, "RGB")


def _records(folder: Path, part: str) -> Images:
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
    return Images(pixels, labels, digest.hexdigest())
