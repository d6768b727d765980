"""The port to the upkeep of a board: check it, look at it, fetch from it, remove old releases."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.ports.bench import Bench
from infra.ports.board import Board, BoardFacts, BoardState, SmokeResult
from infra.ports.release import Release


class Step(StrEnum):
    """One thing that a deployment needs."""

    REACHABLE = "reachable"
    HOST_KEY = "host key"
    ENTRY = "entry"
    LOGIN = "login"
    FILES = "files"
    GROUPS = "groups"
    SPACE = "space"
    PYTHON = "Python"
    TOOLKIT = "toolkit"
    NPU = "npu-smi"
    CHIP = "chip"
    CANN = "CANN"
    STAND_IN = "stand-in"


class Level(StrEnum):
    """How a step went: `note` works but is worth knowing, `wrong` refuses a deployment."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"


_ERRORS: Mapping[Step, type[AtlasFlowError]] = {Step.REACHABLE: Transient, Step.ENTRY: UserError}


@dataclass(frozen=True)
class Finding:
    """The result of one step: what was found, and what to do about it."""

    step: Step
    level: Level
    found: str
    hint: str = ""

    @property
    def error(self) -> type[AtlasFlowError]:
        """The class of error that a wrong step is."""
        return _ERRORS.get(self.step, Refused)

    def to_json(self) -> dict[str, str]:
        """Write the JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class BoardCheck:
    """The findings, in order, and the board's facts; None when the check ended before the board could be asked."""

    findings: tuple[Finding, ...]
    facts: BoardFacts | None = None

    @property
    def wrong(self) -> Finding | None:
        """The first finding that refuses a deployment."""
        return next((finding for finding in self.findings if finding.level is Level.WRONG), None)


class JournalEvent(StrEnum):
    """The events that decisions depend on; a journal may have others."""

    SWITCH = "switch"
    ROLLBACK = "rollback"


class RollbackCause(StrEnum):
    """Who asked for a rollback."""

    OPERATOR = "operator"
    SMOKE_TEST = "smoke test"
    WATCHDOG = "watchdog"


@dataclass(frozen=True)
class JournalEntry:
    """One line of a board's journal.

    Attributes:
        event: a `JournalEvent`, or another word.
        release: the release that it is about.
        time: by the board's clock, ISO 8601 in UTC.
        reason: of a rollback, for people.
        cause: of a rollback.
        smoke: the smoke test before a switch.
    """

    event: str
    release: str
    time: str
    reason: str = ""
    cause: RollbackCause | None = None
    smoke: SmokeResult | None = None

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form, without what is empty."""
        values: dict[str, Any] = {"event": self.event, "release": self.release, "time": self.time}
        values |= {"reason": self.reason} if self.reason else {}
        values |= {"cause": self.cause.value} if self.cause else {}
        return values | ({"smoke": self.smoke.to_json()} if self.smoke else {})


@dataclass(frozen=True)
class BoardStatus(BoardState):
    """The state of a board with its recent history.

    Attributes:
        probation: live images that the active release must still answer before it is trusted.
        journal: the last entries, oldest first.
    """

    probation: int
    journal: tuple[JournalEntry, ...]

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return {**asdict(self), "journal": [entry.to_json() for entry in self.journal]}


@dataclass(frozen=True)
class Observations:
    """Counts of the images that a board answered while it watched a folder, under one release, in its last days.

    Attributes:
        release: the release that answered.
        since: seconds since 1970, by the board's clock.
        until: likewise.
        images: number of images answered.
        skipped: number of unreadable images.
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
class LatencyReport:
    """Summary of the answers of `watch`: images, and milliseconds an image (None without any answer)."""

    pictures: int
    skipped: int
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    largest: float | None = None

    def to_json(self) -> dict[str, float]:
        """Write the JSON form, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Pulled:
    """The result of a pull: names of the files fetched now, number of files that were here, and the latency."""

    fetched: tuple[str, ...]
    kept: int
    report: LatencyReport

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return {"fetched": list(self.fetched), "kept": self.kept, "report": self.report.to_json()}


@dataclass(frozen=True)
class HostKey:
    """A board's public host key in OpenSSH's form, and its SHA-256 fingerprint."""

    public_key: str
    fingerprint: str


class BoardUpkeep(Protocol):
    """What people and services ask of one board besides deployments."""

    def check(self, release: Release | None = None) -> BoardCheck:
        """Try everything that a deployment needs, in order; a wrong step ends it or would refuse `release`."""
        ...

    def status(self) -> BoardStatus:
        """Ask for the state, the probation of the active release, and the end of the journal."""
        ...

    def observations(self) -> Observations | None:
        """Ask for the counts of watched images; None when the board has not watched yet."""
        ...

    def bench(self, runs: int, batch: int) -> Bench:
        """Time the active release on the devices, all at the same time.

        Args:
            runs: executions of each device, at least 1.
            batch: images in each.

        Raises:
            Refused: no release is active.
        """
        ...

    def pull(self, folder: Path) -> Pulled:
        """Fetch the new files that `watch` wrote on the board."""
        ...

    def collect(self, folder: Path) -> Sequence[Path]:
        """Fetch the pictures of which the model was least sure, if the board keeps them; the board forgets them.

        Returns:
            Their files. A name is `MARGIN-SECONDS-DIGEST.SUFFIX`: how far the best class was ahead (0 to 1), when
            it was kept (since 1970), and the start of the SHA-256.
        """
        ...

    def give_keyring(self, text: str) -> None:
        """Store the keyring of this board.

        Raises:
            Refused: root has given it another one.
        """
        ...

    def prune(self, keep: int) -> Sequence[str]:
        """Remove all but the newest `keep` releases, never the active or the previous one; returns their ids."""
        ...

    def host_key(self) -> HostKey:
        """Fetch the host key without logging in."""
        ...


class ManagedBoard(Board, BoardUpkeep, Protocol):
    """A board with all its operations."""
