"""The port to a board."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.ports.values import Bytes, LocalFile


@dataclass(frozen=True)
class Release:
    """What is to be installed on a board.

    Attributes:
        id: names the release's folder on the board; letters, digits, `-`.
        files: path inside the release folder to file.
        soc_version: what the model was compiled for.
        emulated: True when a stand-in had a hand in its bytes; real boards refuse it.
        cann: the version of the CANN toolkit that compiled the model; empty when it is not known.
    """

    id: str
    files: Mapping[str, LocalFile]
    soc_version: str
    emulated: bool
    cann: str = ""


@dataclass(frozen=True)
class BoardFacts:
    """What a board says of itself; `cann` and `npu` may be empty when nothing tells."""

    name: str
    soc_version: str
    cann: str
    architecture: str
    python: str
    free_bytes: int
    emulated: bool
    npu: str = ""


@dataclass(frozen=True)
class Seen:
    """What a board has seen while it watched, under one release, in its last days.

    Attributes:
        release: which answered.
        since: seconds since 1970, by the board's clock.
        until: likewise.
        images: how many were answered.
        skipped: how many could not be read.
        counts: images in each bin, by quantity: `class` (a bin a class), `confidence` (of the answer, 0 to 1), `red`,
            `green` and `blue` (mean of the picture, 0 to 255; all in bins of equal width).
    """

    release: str
    since: float
    until: float
    images: int
    skipped: int
    counts: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class BoardState:
    """Which releases a board holds: the one in service, the one before it, and all that are there."""

    active: str | None
    previous: str | None
    releases: tuple[str, ...]


@dataclass(frozen=True)
class Installed:
    """What an installation did; `changed` is False when the release was in service already."""

    changed: bool
    files_sent: int
    bytes_sent: int
    smoke: Mapping[str, object]


@dataclass(frozen=True)
class Classification:
    """A board's answer to one picture: the five best (class name, probability), best first.

    For a picture that could not be read, `problem` says why and `top` is empty.
    """

    picture: str
    top: tuple[tuple[str, float], ...]
    milliseconds: float
    annotated: Path | None
    problem: str = ""


class Board(Protocol):
    """One board, real or stand-in, over SSH."""

    @property
    def name(self) -> str:
        """The board's name in the settings."""
        ...

    def facts(self) -> BoardFacts:
        """Ask the board what it is."""
        ...

    def state(self) -> BoardState:
        """Ask the board what it runs."""
        ...

    def install(self, release: Release, progress: Bytes | None = None) -> Installed:
        """Preflight, copy what is missing, verify, smoke test, switch; on any failure the old release stays in service.

        Raises:
            Refused: the board is not one for this release (soc, emulation, host key, login).
            GateFailed: the smoke test did not give the golden outputs; the previous release is in service.
        """
        ...

    def infer(self, release: Release, images: Path, logits: Path) -> float:
        """Run a release's model on an array of images; nothing is installed, and what is in service stays so.

        Args:
            release: with the program and the model; it needs no smoke test.
            images: NumPy file, uint8 [n, height, width, 3], RGB.
            logits: NumPy file to write, float32 [n, classes].

        Returns:
            Milliseconds an image, the median.

        Raises:
            Refused: the board is not one for this release.
        """
        ...

    def rollback(self) -> BoardState:
        """Put the previous release back into service."""
        ...

    def seen(self) -> Seen | None:
        """What the board has seen while it watched; None when it has not."""
        ...

    def classify(self, pictures: Sequence[Path], folder: Path) -> Sequence[Classification]:
        """Classify pictures with the active release and fetch the annotated copies into `folder`."""
        ...
