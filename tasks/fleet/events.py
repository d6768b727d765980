"""The policy, the events and the results of a rollout, with the reader and writer of their JSON form.

The log of a rollout has a line for each event; the first one is the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, Self

Pause = Literal["never", "canary", "each"]


class Outcome(StrEnum):
    """The result of a board in a rollout."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    RETURNED = "returned"


@dataclass(frozen=True)
class Policy:
    """How a rollout proceeds.

    Attributes:
        waves: the boards of each wave; the first wave is the canary.
        max_failed: share of a wave's boards that may fail; one board more stops the rollout.
        wait_seconds: delay between the end of a wave and the start of the next.
        pause: wait for a person after each wave, after the canary, or never.
        limit: boards that are deployed to at the same time.
    """

    waves: tuple[tuple[str, ...], ...]
    max_failed: float = 0.0
    wait_seconds: float = 0.0
    pause: Pause = "never"
    limit: int = 32

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the JSON form, which `asdict` writes."""
        return cls(**{**values, "waves": tuple(tuple(wave) for wave in values["waves"])})


@dataclass(frozen=True)
class Plan:
    """The first entry of a log: which release is rolled out, and how."""

    release: str
    policy: Policy
    time: float

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        return {"event": "planned", **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(values["release"], Policy.from_json(values["policy"]), values.get("time", 0.0))


@dataclass(frozen=True)
class BoardResult:
    """The result of a deployment to one board.

    Attributes:
        outcome: changed, unchanged or failed.
        message: for people.
        seconds: duration.
        hint: what to do about a failure.
        exit_code: of the error's class; None without a failure.
    """

    outcome: Outcome
    message: str = ""
    seconds: float = 0.0
    hint: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class Started:
    """A deployment to a board has started."""

    board: str
    time: float


@dataclass(frozen=True)
class Ended:
    """A deployment to a board has ended."""

    board: str
    time: float
    result: BoardResult


@dataclass(frozen=True)
class Returned:
    """A board runs its previous release again."""

    board: str
    time: float


@dataclass(frozen=True)
class Resumed:
    """A person lets the rollout go on.

    It goes on past a pause, past a stop (the failed boards of the wave are tried again), or after its process died (its
    running boards are started again, as an installation can be repeated).
    """

    time: float


Event = Started | Ended | Returned | Resumed


def event_to_json(event: Event) -> dict[str, Any]:
    """Write the JSON form of an event."""
    match event:
        case Started():
            return {"event": "started", "board": event.board, "time": event.time}
        case Returned():
            return {"event": "returned", "board": event.board, "time": event.time}
        case Resumed():
            return {"event": "resumed", "time": event.time}
        case Ended():
            result = {key: value for key, value in asdict(event.result).items() if value not in ("", None)}
            return {"event": "ended", "board": event.board, "time": event.time, **result}


def events_from_json(lines: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Read events; those of another kind, such as a later version may write, are left out."""
    return [event for event in map(_event, lines) if event is not None]


def _event(values: Mapping[str, Any]) -> Event | None:
    match values["event"]:
        case "started":
            return Started(values["board"], values["time"])
        case "returned":
            return Returned(values["board"], values["time"])
        case "resumed":
            return Resumed(values["time"])
        case "ended":
            result = BoardResult(
                Outcome(values["outcome"]),
                values.get("message", ""),
                values.get("seconds", 0.0),
                values.get("hint", ""),
                values.get("exit_code"),
            )
            return Ended(values["board"], values["time"], result)
    return None
