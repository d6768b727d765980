"""The values of a data set in the making."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Problem(StrEnum):
    """Why a file is not used."""

    EMPTY = "empty file"
    NO_PICTURE = "not a picture, or an unknown format"
    TRUNCATED = "truncated"
    TOO_LARGE = "too many pixels"
    UNSUPPORTED = "pixels without fixed RGB values"
    BROKEN = "broken"
    MISSING = "missing"
    OTHER_FILE = "not a picture by its name"


@dataclass(frozen=True)
class Entry:
    """A file that the source names as a picture.

    Attributes:
        name: path inside the source, for people.
        path: of the file; None when the source names a file that it lacks.
        sha256: of its bytes.
        label: its class name.
        part: `train` or `eval`; None when the source does not say.
    """

    name: str
    path: Path | None
    sha256: str
    label: str
    part: str | None


@dataclass(frozen=True)
class Layout:
    """What was found in a source.

    Attributes:
        kind: of the source, for people, such as `class folders`.
        entries: the pictures.
        names: the class names, in the order of their numbers.
        others: files that are no pictures by their names.
    """

    kind: str
    entries: Sequence[Entry]
    names: Sequence[str]
    others: Sequence[str] = ()


@dataclass(frozen=True)
class Look:
    """What decoding tells of a picture.

    Attributes:
        width, height: in pixels, upright.
        fingerprint: 64 bits that similar pictures share (`tasks/dataset/duplicates.py`).
        thumbnail: 8 x 8 RGB values, row by row.
    """

    width: int
    height: int
    fingerprint: int
    thumbnail: bytes


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and why; `detail` is for people."""

    name: str
    problem: Problem
    detail: str = ""


@dataclass(frozen=True)
class Rules:
    """How pictures become a data set; part of the key.

    Attributes:
        size: height and width of the network's input in pixels.
        fit, interpolation, orientation: of the input contract.
        eval_share: share of the pictures that is held out where the source has no split.
        seed: of the split.
        max_unusable: the largest share of pictures that may be unusable.
        labels: `fine` or `coarse`, for CIFAR-100.
    """

    size: int
    fit: str
    interpolation: str
    orientation: str
    eval_share: float
    seed: int
    max_unusable: float
    labels: str

    def geometry(self) -> tuple[str, str, str]:
        """Fit, interpolation and orientation."""
        return self.fit, self.interpolation, self.orientation
