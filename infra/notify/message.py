"""Build the notification text from an automation payload."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from infra.errors import UserError
from infra.settings.notify import Kind

TITLES: Mapping[str, str] = {
    "promotion": "a challenger is the new champion",
    "fallback": "a board fell back to its previous release",
    "stall": "a job makes no progress",
}
_LONGEST = 4000


@dataclass(frozen=True)
class Message:
    """One notification.

    Attributes:
        kind: failure, promotion, fallback or stall.
        subject: one line.
        text: some lines.
        address: a page with more about it; may be empty.
        event: id of the event; empty if the payload names none.
    """

    kind: str
    subject: str
    text: str
    address: str
    event: str = ""


def message(payload: object) -> Message:
    """Build the message for a payload, which the templates of `tasks/orchestration/automations.py` define.

    Raises:
        UserError: the payload is of no known kind.
    """
    if not isinstance(payload, dict) or payload.get("kind") not in get_args(Kind):
        raise UserError("not a notification of AtlasFlow", hint=f"its kind is one of {', '.join(get_args(Kind))}")
    kind, address, event = str(payload["kind"]), _line(payload.get("address")), _line(payload.get("event"))
    if kind == "failure":
        name, state = _line(payload.get("name")) or "a run", (_line(payload.get("state")) or "failed").lower()
        text = _text(payload.get("message") or "It gave no reason.")
        return Message(kind, f"AtlasFlow: {name} {state}", text[:_LONGEST], address, event)
    details = payload.get("payload")
    named = _line(payload.get("resource"))
    lines = [f"{_line(key)}: {_line(value)}" for key, value in details.items()] if isinstance(details, dict) else []
    subject = f"AtlasFlow: {TITLES[kind]}" + (f" ({named})" if named else "")
    return Message(kind, subject, "\n".join(lines)[:_LONGEST] or TITLES[kind], address, event)


def _line(value: Any) -> str:
    """A value on one line, safe for a subject: a line end would start another mail header."""
    return " ".join(_text(value).split())[:200] if value is not None else ""


def _text(value: Any) -> str:
    """A value as encodable text: JSON may contain half of a surrogate pair."""
    return str(value).encode(errors="replace").decode()
