"""What `models/main.py` prints and how it exits: event lines and exit codes, read here and nowhere else.

An event line is `@atlasflow {json}` on standard output. Its field `event` is `epoch`, `progress`, `ready`, `answer` or
`error`; all other lines are for people. `models/protocol.py` writes them.
"""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError
from infra.ports.training import Epoch, LogLine

EVENT_PREFIX = "@atlasflow "
PARENT_GONE = 143

_ERRORS: Mapping[str, type[AtlasFlowError]] = {
    "user": UserError,
    "refused": Refused,
    "corrupt": Corrupt,
    "transient": Transient,
}
_EXIT_CODES: Mapping[int, type[AtlasFlowError]] = {error.exit_code: error for error in _ERRORS.values()}
_SENT_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
_QUOTED_LINES = 12


@dataclass(frozen=True)
class ProgramError:
    """Why the program exits."""

    error_class: type[AtlasFlowError]
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Ready:
    """`answer` has loaded its checkpoint."""


@dataclass(frozen=True)
class Answer:
    """The result for one image: a logit for each class, and the milliseconds of the inference."""

    logits: tuple[float, ...]
    milliseconds: float


ProgramEvent = Epoch | ProgramError | Ready | Answer


def parse(line: str) -> ProgramEvent | LogLine:
    """Parse one line of output; a line that is not a well-formed event is a `LogLine`."""
    if not line.startswith(EVENT_PREFIX):
        return LogLine(line)
    try:
        values = json.loads(line.removeprefix(EVENT_PREFIX))
        return _READERS[values["event"]](values)
    except (ValueError, TypeError, KeyError):
        return LogLine(line)


def _epoch(values: Mapping[str, Any]) -> Epoch:
    return Epoch(
        epoch=int(values["epoch"]),
        epochs=int(values["epochs"]),
        loss=float(values["loss"]),
        step_ms=float(values["step_ms"]),
        images_per_second=float(values["images_per_second"]),
        accuracy=float(values["accuracy"]) if "accuracy" in values else None,
    )


def _error(values: Mapping[str, Any]) -> ProgramError:
    error_class = _ERRORS.get(str(values.get("kind")), AtlasFlowError)
    return ProgramError(error_class, str(values["message"]), str(values.get("hint") or ""))


def _answer(values: Mapping[str, Any]) -> Answer:
    return Answer(tuple(map(float, values["logits"])), float(values["milliseconds"]))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], ProgramEvent]] = {
    "epoch": _epoch,
    "error": _error,
    "ready": lambda _values: Ready(),
    "answer": _answer,
}


def failure(what: str, code: int, error: ProgramError | None, tail: Sequence[str]) -> AtlasFlowError:
    """Build the error for a program that failed.

    Args:
        what: names the program in the message, such as `training`.
        code: exit code; negative, or above 128 where a shell reported it, for a signal.
        error: its last error event, if there was one.
        tail: its last lines, quoted when there was no error event.
    """
    if error is not None:
        return error.error_class(f"{what}: {error.message}", hint=error.hint)
    quoted = _quote(tail)
    number = -code if code < 0 else code - 128
    if code == PARENT_GONE or number in _SENT_FROM_OUTSIDE:
        memory = "often the machine ran out of memory: close other programs or use a smaller batch"
        name = signal.Signals(number).name
        return Transient(
            f"{what} was killed by {name}{quoted}", hint=memory if number == signal.SIGKILL else "run it again"
        )
    if code in _EXIT_CODES:
        return _EXIT_CODES[code](f"{what} exited with code {code}{quoted}")
    return AtlasFlowError(f"{what} exited with code {code}{quoted}", hint="its last lines show the cause")


def _quote(tail: Sequence[str]) -> str:
    lines = [line for line in tail if line.strip() and not line.startswith(EVENT_PREFIX)][-_QUOTED_LINES:]
    return "".join(f"\n    {line}" for line in lines) or " without output"
