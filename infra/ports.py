"""The ports: small Protocols for everything outside this process, and the values that cross them.

Each port has a real client and a stand-in, siblings that pass the same contract suite (`tests/contracts`). Every
method may raise the leaves of `infra.errors.AtlasFlowError`: `UserError` for a request that can never work,
`Refused` for a no that stays a no, `Transient` for trouble that may pass, `Corrupt` for bytes that do not match.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

Lines = Callable[[str], None]
"""Receives the lines of a running program, without their line ends."""

Bytes = Callable[[int], None]
"""Receives how many more bytes have moved."""


@dataclass(frozen=True)
class Producer:
    """What makes bytes: an ingredient of every key whose bytes it makes.

    Attributes:
        name: such as `mindspore-cpu`, `modelarts`, `atc`, `atc-stand-in`.
        version: of the tool; a stand-in of ours gives the digest of its code.
        emulated: True when this stands in for something real.
        details: anything else that may change the bytes (engine, device, CANN version).
    """

    name: str
    version: str
    emulated: bool
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine, whose SHA-256 is already known."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class StoredObject:
    """An object in a bucket; `sha256` is our own metadata, None for an object that somebody else wrote."""

    key: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class SyncResult:
    """What a synchronisation did: keys that were sent, keys that were already right, bytes sent."""

    sent: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_sent: int


class ObjectStore(Protocol):
    """One bucket of an object store. Keys are `/`-separated and never start with `/`."""

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        ...

    @property
    def emulated(self) -> bool:
        """True for the embedded server."""
        ...

    def ensure_bucket(self) -> bool:
        """Make the bucket when it is missing; True when it was made now."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """Look at one object; None when there is none."""
        ...

    def list(self, prefix: str) -> Iterable[tuple[str, int]]:
        """Keys under a prefix, with their sizes in bytes."""
        ...

    def put(self, key: str, source: LocalFile, progress: Bytes | None = None) -> None:
        """Send a file with its SHA-256 as metadata; raises `Corrupt` when the file is not what it should be."""
        ...

    def get(self, key: str, target: Path, sha256: str | None = None, progress: Bytes | None = None) -> str:
        """Fetch an object atomically, return its SHA-256; `Corrupt` on a wrong digest, `Refused` when there is none."""
        ...

    def sync(self, prefix: str, files: Mapping[str, LocalFile], progress: Bytes | None = None) -> SyncResult:
        """Make `prefix/name` hold each file: compare digests, send what is missing, read back a proof."""
        ...

    def missing(self, prefix: str, files: Mapping[str, LocalFile]) -> Sequence[str]:
        """Names of the files that `prefix/name` does not hold with their digest; nothing is sent."""
        ...

    def sync_archive(self, key: str, files: Mapping[str, LocalFile], progress: Bytes | None = None) -> SyncResult:
        """Make `key` hold one archive of exactly these files; when it does, one look is all that happens."""
        ...

    def holds_archive(self, key: str, files: Mapping[str, LocalFile]) -> bool:
        """True when `key` holds the archive of exactly these files; nothing is sent."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are no error."""
        ...

    def unfinished(self, prefix: str) -> Sequence[str]:
        """Keys under a prefix whose upload in parts was begun and never ended."""
        ...

    def abort_unfinished(self, prefix: str, age: timedelta) -> Sequence[str]:
        """Abort uploads in parts under a prefix that were begun longer ago than `age`; returns their keys."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """A pre-signed address for fetching the object, valid for `seconds`."""
        ...


@dataclass(frozen=True)
class TrainJob:
    """One training to run.

    Attributes:
        key: the stage key, 64 hexadecimal digits; names the job.
        data: folder with `train/` and `eval/`.
        spec: the canonical TrainSpec as plain JSON values.
        folder: where checkpoints and results go; kept after a kill, so that training resumes in it.
        data_address: `obs://bucket/prefix/` of the same data, for a trainer elsewhere; the upload stage put it there.
        code_address: `obs://bucket/prefix/` of the folder with `main.py`, likewise.
        again: True when a training that was finished before is not to be taken instead.
        pretrained: a checkpoint to start from, `.ckpt` or `.safetensors`.
    """

    key: str
    data: Path
    spec: Mapping[str, object]
    folder: Path
    data_address: str = ""
    code_address: str = ""
    again: bool = False
    pretrained: LocalFile | None = None


class Trainer(Protocol):
    """Runs `models/main.py train` somewhere."""

    def producer(self) -> Producer:
        """Who trains; the same for two trainings whose bytes would be the same."""
        ...

    def train(self, job: TrainJob, lines: Lines) -> None:
        """Run or resume the job until its results are whole in `job.folder`; lines arrive while it runs."""
        ...


@dataclass(frozen=True)
class CompileRequest:
    """One compilation.

    Attributes:
        model: the file to compile; `.onnx` or `.air`.
        output: where the `.om` goes, with its suffix.
        soc_version: such as `Ascend310`.
        input_shape: input name to dimensions; used for ONNX, ignored for AIR as ATC does.
        options: further ATC options by name without dashes, such as `precision_mode`.
    """

    model: Path
    output: Path
    soc_version: str
    input_shape: Mapping[str, Sequence[int]] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


class Compiler(Protocol):
    """ATC or its stand-in."""

    def producer(self) -> Producer:
        """Who compiles, with its version."""
        ...

    def compile(self, request: CompileRequest, lines: Lines) -> None:
        """Write `request.output` whole or not at all; raises the error class that belongs to ATC's error code."""
        ...


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
