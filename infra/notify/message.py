"""What is told, in words: from what an automation of the Prefect server says of an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from infra.errors import UserError
from infra.settings.notify import Kind

TITLES: Mapping[str, str] = {
    "promotion": "a challenger is the new champion",
    "fallback": "a board fell back to its previous release",
}
_LONGEST = 4000


@dataclass(frozen=True)
class Message:
    """One notification.

    Attributes:
        kind: failure, promotion or fallback.
        subject: one line.
        text: some lines.
        address: where a person looks next; may be empty.
        event: id of the event that it tells of; empty where none was named.
    """

    kind: str
    subject: str
    text: str
    address: str
    event: str = ""


def message(said: object) -> Message:
    """The message for what an automation says (`tasks/orchestration/automations.py` has its templates).

    Raises:
        UserError: it says nothing that is known.
    """
    if not isinstance(said, dict) or said.get("kind") not in get_args(Kind):
        raise UserError("this is no notification of AtlasFlow", hint=f"its kind is one of {', '.join(get_args(Kind))}")
    kind, address, event = str(said["kind"]), _line(said.get("address")), _line(said.get("event"))
    if kind == "failure":
        name, state = _line(said.get("name")) or "a run", (_line(said.get("state")) or "failed").lower()
        text = _text(said.get("message") or "It gave no reason.")
        return Message(kind, f"AtlasFlow: {name} {state}", text[:_LONGEST], address, event)
    facts = said.get("payload")
    named = _line(said.get("resource"))
    lines = [f"{_line(key)}: {_line(value)}" for key, value in facts.items()] if isinstance(facts, dict) else []
    subject = f"AtlasFlow: {TITLES[kind]}" + (f" ({named})" if named else "")
    return Message(kind, subject, "\n".join(lines)[:_LONGEST] or TITLES[kind], address, event)


def _line(value: Any) -> str:
    """A value in one line, which a subject may hold: a line end would begin a header of a mail."""
    return " ".join(_text(value).split())[:200] if value is not None else ""


def _text(value: Any) -> str:
    """A value as text that can be sent: JSON may hold half of a surrogate pair, which has no bytes."""
    return str(value).encode(errors="replace").decode()
