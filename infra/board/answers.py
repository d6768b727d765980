"""Read what a board answers: the one place where its JSON becomes values.

A board may be damaged, or under somebody else's control. Each value is checked for its type, its range and its length
before it names a file or reaches a terminal, and texts lose their control characters.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from infra.board.agent.counts import QUANTITIES, add
from infra.board.release_folder import IDENTIFIER
from infra.errors import Corrupt
from infra.ports.board import BoardFacts, BoardState, SmokeResult
from infra.ports.upkeep import BoardStatus, JournalEntry, JournalEvent, Observations, RollbackCause

T = TypeVar("T")

MAX_TEXT = 2000  # characters of a message
MAX_WORD = 200  # characters of a version, a user, a label
MAX_ITEMS = 10_000  # entries of a list: releases, files, groups, classes
MAX_COUNT = 2**53  # JSON numbers are exact up to here
OPERATOR_REASON = "asked for"  # what journals without causes say of an operator

# Control characters, lone surrogates, line separators; and the marks that reorder text.
_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What a fact may have: facts become settings and cells of Markdown tables.
_NOT_IN_FACTS = re.compile(r"[^\w .,:;+()/@~-]")


@dataclass(frozen=True)
class AgentFacts:
    """Everything that the agent reports about a board, for the preflight.

    Attributes:
        board: the part that is of general interest.
        problems: modules that Python cannot import, to the reason.
        pillow: version of Pillow; empty when it cannot be imported.
        numpy: version of NumPy; empty when it cannot be imported.
        environment: the toolkit's script that was sourced; empty when none was found.
        user: who is logged in.
        groups: of that user.
        closed_devices: device files that the user may not open.
    """

    board: BoardFacts
    problems: Mapping[str, str]
    pillow: str
    numpy: str
    environment: str
    user: str
    groups: tuple[str, ...]
    closed_devices: tuple[str, ...]


def read(board: str, reader: Callable[[Any], T], answer: Any) -> T:
    """Read an answer of a board.

    Raises:
        Corrupt: it does not have the form that `reader` expects.
    """
    try:
        return reader(answer)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, EOFError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise Corrupt(
            f"board {board} gave an unusable answer: {printable(reason, MAX_WORD)}",
            hint="log in and look at the board: its disk or its program is damaged, or another machine answers",
        ) from error


def printable(text: str, limit: int = MAX_TEXT) -> str:
    """A text that can be shown on a terminal: control characters become `?`, a long one is cut."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    return "".join("?" if unicodedata.category(char) in _HIDDEN or char in _BIDI else char for char in cut)


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A text of a board, made printable.

    Raises:
        TypeError: it is not a string.
    """
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {type(value).__name__}")
    return printable(value, limit)


def count(value: Any, most: int = MAX_COUNT) -> int:
    """A whole number from 0 to `most`.

    Raises:
        TypeError, ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number is expected, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise ValueError(f"a number is not from 0 to {most}")
    return value


def number(value: Any) -> float:
    """A finite number.

    Raises:
        TypeError, ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is expected, not {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return float(value)


def items(value: Any, most: int = MAX_ITEMS) -> list[Any]:
    """A list of at most `most` entries.

    Raises:
        TypeError, ValueError: it is not.
    """
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {type(value).__name__}")
    if len(value) > most:
        raise ValueError(f"a list has more than {most} entries")
    return value


def release_id(value: Any) -> str:
    """The id of a release, which names a folder here too.

    Raises:
        TypeError, ValueError: it cannot name a release.
    """
    if not isinstance(value, str) or len(value) > MAX_WORD or not IDENTIFIER.fullmatch(value):
        raise ValueError(f"{ascii(value)[:MAX_WORD]} cannot name a release")
    return value


def nothing(_answer: Any) -> None:
    """Ignore an answer that has no value."""


def release_ids(answer: Any) -> list[str]:
    """Read the answer to `prune`."""
    return [release_id(value) for value in items(answer)]


def agent_facts(board: str, answer: Any) -> AgentFacts:
    """Read the answer to `facts` of the board with this name."""
    if not isinstance(answer["modules"], dict) or len(answer["modules"]) > MAX_WORD:
        raise TypeError("modules are expected")
    return AgentFacts(
        board=BoardFacts(
            name=board,
            soc_version=_fact(answer["soc_version"]),
            cann=_fact(answer["cann"]),
            architecture=_fact(answer["architecture"]),
            python=_fact(answer["python"]),
            free_bytes=count(answer["free_bytes"]),
            emulated=answer["emulated"] is True,
            npu=_fact(answer["npu"]),
            devices=count(answer["devices"]),
            virtual=tuple(_fact(path) for path in items(answer["virtual"])),
        ),
        problems={text(name, MAX_WORD): text(why) for name, why in answer["modules"].items() if why is not None},
        pillow=_fact(answer["pillow"]),
        numpy=_fact(answer["numpy"]),
        environment=text(answer["environment"]),
        user=_fact(answer["user"]),
        groups=tuple(_fact(group) for group in items(answer["groups"])),
        closed_devices=tuple(text(path, MAX_WORD) for path in items(answer["closed_devices"])),
    )


def state(answer: Any) -> BoardState:
    """Read the answer to `state` and `rollback`."""
    releases = tuple(map(release_id, items(answer["releases"])))
    return BoardState(
        _optional(answer["active"]), _optional(answer["previous"]), releases, floor=count(answer["floor"])
    )


def status(answer: Any) -> BoardStatus:
    """Read the answer to `status`; a line of the journal that cannot be read is left out."""
    known = state(answer)
    entries = [_or_none(_journal_entry, entry) for entry in items(answer["journal"])]
    journal = tuple(entry for entry in entries if entry is not None)
    probation = count(answer["probation"])
    return BoardStatus(known.active, known.previous, known.releases, probation, journal, floor=known.floor)


def smoke(answer: Any) -> SmokeResult:
    """Read the answer to the agent's `smoke`.

    Raises:
        KeyError, TypeError, ValueError: it is not such an answer, or no smoke test that passed.
    """
    result = SmokeResult.from_json(answer)
    for figure in (result.agreement, result.max_difference, result.tolerance):
        number(figure)
    count(result.images)
    return result


def observations(answer: Any) -> Observations | None:
    """Read the answer to `observations`: one summary of all days."""
    if answer is None:
        return None
    first, *others = days = items(answer["days"])
    counts = _counts(first)
    for day in others:
        more = _counts(day)
        if {name: len(more[name]) for name in QUANTITIES} != {name: len(counts[name]) for name in QUANTITIES}:
            raise ValueError("the days do not have the same bins")
        add(counts, more)
    images, skipped = (sum(count(day[name]) for day in days) for name in ("images", "skipped"))
    return Observations(
        release_id(answer["release"]), number(first["since"]), number(days[-1]["until"]), images, skipped, counts
    )


def _counts(day: Any) -> dict[str, list[int]]:
    return {name: [count(entry) for entry in items(day[name])] for name in QUANTITIES}


def _optional(value: Any) -> str | None:
    return None if value is None else release_id(value)


def _fact(value: Any) -> str:
    return _NOT_IN_FACTS.sub("?", text(value, MAX_WORD))


def _journal_entry(entry: Any) -> JournalEntry:
    reason = text(entry.get("reason", ""))
    cause = None
    if entry["event"] == JournalEvent.ROLLBACK:
        old = RollbackCause.OPERATOR if reason == OPERATOR_REASON else RollbackCause.WATCHDOG
        cause = RollbackCause(entry["cause"]) if entry.get("cause") in set(RollbackCause) else old
    return JournalEntry(
        text(entry["event"], MAX_WORD),
        release_id(entry["release"]),
        text(entry["time"], MAX_WORD),
        reason,
        cause,
        _or_none(smoke, entry.get("smoke")),
    )


def _or_none(reader: Callable[[Any], T], value: Any) -> T | None:
    try:
        return reader(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
