"""The port to a board: install a release and use it. `infra/ports/upkeep.py` has the rest of a board's operations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from infra.ports.comparison import Comparison
from infra.ports.release import Release
from infra.ports.values import OnBytes


@dataclass(frozen=True)
class BoardFacts:
    """What a board reports about itself; `cann` and `npu` are empty when the board does not know them.

    Attributes:
        name: the board's name in the settings.
        soc_version: its chip, such as `Ascend310`.
        cann: version of its CANN toolkit.
        architecture: of its processor, such as `aarch64`.
        python: version of its Python.
        free_bytes: free space in the file system of its releases.
        emulated: True for a stand-in.
        npu: the chips and their health, as `npu-smi` shows them.
        devices: number of chips that `npu-smi` shows.
        virtual: device files of virtual NPUs, which are parts of a chip.
    """

    name: str
    soc_version: str
    cann: str
    architecture: str
    python: str
    free_bytes: int
    emulated: bool
    npu: str = ""
    devices: int = 0
    virtual: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardState:
    """The releases of a board: the active one, the previous one, all; and the smallest counter that it accepts."""

    active: str | None
    previous: str | None
    releases: tuple[str, ...]
    floor: int = field(default=0, kw_only=True)


@dataclass(frozen=True)
class SmokeResult:
    """The result of a smoke test that passed.

    Attributes:
        images: number of golden images.
        agreement: share of them with the golden top class, 0 to 1.
        max_difference: largest absolute difference to the golden logits.
        tolerance: the largest difference allowed.
        milliseconds: time for one image; None when it was not measured.
        comparison: the figures by class; None for a release whose agent computes none.
    """

    images: int
    agreement: float
    max_difference: float
    tolerance: float
    milliseconds: float | None = None
    comparison: Comparison | None = None

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the JSON form: `smoke` in a board's journal, in `boards.json`, and in the agent's answer.

        Raises:
            KeyError, TypeError, ValueError: a figure is missing or is not a number.
        """
        time = value.get("milliseconds")
        return cls(
            images=int(value["images"]),
            agreement=float(value["agreement"]),
            max_difference=float(value["max_difference"]),
            tolerance=float(value["tolerance"]),
            milliseconds=None if time is None else float(time),
            comparison=Comparison.from_json(value) if "per_class" in value else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        values = {} if self.comparison is None else self.comparison.to_json()
        values |= {"images": self.images, "agreement": self.agreement, "max_difference": self.max_difference}
        return {**values, "tolerance": self.tolerance, "milliseconds": self.milliseconds}


@dataclass(frozen=True)
class Installed:
    """The result of an installation.

    Attributes:
        changed: False when the release was active already.
        files_sent: number of files copied.
        bytes_sent: their size.
        smoke: the result of the smoke test; None when the board's journal no longer has that of an active release.
    """

    changed: bool
    files_sent: int
    bytes_sent: int
    smoke: SmokeResult | None


@dataclass(frozen=True)
class Classification:
    """A board's answer to one picture: the five best (class name, probability), best first, and their class numbers.

    For an unreadable picture, `problem` says why and `top` is empty.
    """

    picture: str
    top: tuple[tuple[str, float], ...]
    milliseconds: float
    annotated: Path | None
    problem: str = ""
    numbers: tuple[int, ...] = ()


class Board(Protocol):
    """One board, real or stand-in, over SSH."""

    @property
    def name(self) -> str:
        """The board's name in the settings."""
        ...

    def facts(self) -> BoardFacts:
        """Ask the board for its chip, toolkit, Python and free space."""
        ...

    def state(self) -> BoardState:
        """Ask the board for its releases."""
        ...

    def install(self, release: Release, progress: OnBytes | None = None) -> Installed:
        """Preflight, copy what is missing, verify, smoke test, switch; on any failure the old release stays active.

        Raises:
            Refused: the release does not fit the board (chip, emulation), or the board refuses the login.
            GateFailed: the smoke test did not give the golden outputs; the previous release is active.
        """
        ...

    def verify(self, release: str) -> int:
        """Let the board verify every byte of a release that it has; returns the release's counter.

        Raises:
            Refused: it is not signed for this board, or it is not there.
            Corrupt: a file is missing or changed.
        """
        ...

    def infer(self, release: Path, images: Path, logits: Path) -> float:
        """Run a model on an array of images, without installing it.

        Args:
            release: folder of a release; it needs no smoke test.
            images: NumPy file, uint8 [n, height, width, 3], RGB.
            logits: NumPy file to write, float32 [n, classes].

        Returns:
            Milliseconds for one image, the median.

        Raises:
            Refused: the release does not fit the board.
        """
        ...

    def rollback(self) -> BoardState:
        """Activate the previous release."""
        ...

    def classify(self, pictures: Sequence[Path], folder: Path, *, inside: bool = False) -> Sequence[Classification]:
        """Classify pictures with the active release and fetch the annotated copies into `folder`.

        With `inside` the class is written on the pictures, in their own size, and not below them.
        """
        ...


class Simulator(Protocol):
    """Executes what the stand-in compiler made, without a board."""

    def infer(self, release: Path, soc_version: str, images: Path, logits: Path) -> float:
        """Run a release's model on an array of images, with the program that boards run.

        Args:
            release: folder with `agent/`, `model.om` and `release.json`.
            soc_version: the chip that is simulated.
            images: NumPy file, uint8 [n, height, width, 3], RGB.
            logits: NumPy file to write, float32 [n, classes].

        Returns:
            Milliseconds an image on this machine; no statement about a board.
        """
        ...
