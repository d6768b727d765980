"""What `models/main.py` says and how it ends, wherever it runs: its event lines and its exit codes.

An event line is `@atlasflow {json}` on standard output, with `event` one of `epoch`, `progress` and `error`. An error
event carries `kind` (`user`, `refused`, `corrupt` or `transient`), `message` and `hint`. Other lines are for people.

A trainer adds events `job` of its own, with a `text`: what became of the job that runs the program elsewhere.
"""

import json
import signal
from collections.abc import Mapping, Sequence

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError

EVENT_PREFIX = "@atlasflow "
PARENT_GONE = 143

_KINDS: Mapping[str, type[AtlasFlowError]] = {
    "user": UserError,
    "refused": Refused,
    "corrupt": Corrupt,
    "transient": Transient,
}
_CODES: Mapping[int, type[AtlasFlowError]] = {kind.exit_code: kind for kind in _KINDS.values()}
_SENT_FROM_OUTSIDE = (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
_QUOTED_LINES = 12


def event(line: str) -> Mapping[str, object] | None:
    """The event in a line of `models/main.py`; None for a line that holds none."""
    if not line.startswith(EVENT_PREFIX):
        return None
    try:
        value = json.loads(line.removeprefix(EVENT_PREFIX))
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None


def note(text: str) -> str:
    """The line of an event `job`."""
    return EVENT_PREFIX + json.dumps({"event": "job", "text": text}, ensure_ascii=False)


def failure(what: str, code: int, error: Mapping[str, object] | None, tail: Sequence[str]) -> AtlasFlowError:
    """The error for a program that ended badly.

    Args:
        what: names the program in the message, such as `training`.
        code: exit code; negative, or above 128 where a shell reported it, for a signal.
        error: its last error event, if there was one.
        tail: its last lines, quoted when there was no error event.
    """
    if error is not None:
        kind = _KINDS.get(str(error.get("kind")), AtlasFlowError)
        return kind(f"{what}: {error.get('message')}", hint=str(error.get("hint") or ""))
    quoted = _quote(tail)
    number = -code if code < 0 else code - 128
    if code == PARENT_GONE or number in _SENT_FROM_OUTSIDE:
        hint = "often the machine ran out of memory: close other programs or take a smaller batch"
        name = signal.Signals(number).name
        return Transient(
            f"{what} was ended by {name}{quoted}", hint=hint if number == signal.SIGKILL else "run it again"
        )
    if code in _CODES:
        return _CODES[code](f"{what} ended with exit code {code}{quoted}")
    return AtlasFlowError(f"{what} ended with exit code {code}{quoted}", hint="its last lines say why")


def _quote(tail: Sequence[str]) -> str:
    lines = [line for line in tail if line.strip() and event(line) is None][-_QUOTED_LINES:]
    return "".join(f"\n    {line}" for line in lines) or " and said nothing"
