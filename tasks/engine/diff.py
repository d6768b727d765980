"""Why a stage runs: a cause, and the ingredients that differ from those of the nearest receipt."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from infra.store.receipts import Receipt

# The order in which differences are shown: what a person changed comes before what follows from it.
_ORDER = ("settings", "inputs", "producer", "tools", "emulated", "stage", "schema", "code")
_SHOWN_FILES = 3
_ABSENT = object()


class Cause(Enum):
    """Why a stage runs, or why it does not."""

    UNCHANGED = "unchanged"
    NEVER_RAN = "never ran"
    INPUT_MISSING = "input missing"
    INGREDIENTS_CHANGED = "ingredients changed"
    OUTPUT_DAMAGED = "output damaged"
    RECORD_DIFFERS = "record differs"
    WORLD_DIFFERS = "world differs"
    FORCED = "forced"


@dataclass(frozen=True)
class Difference:
    """One ingredient that differs.

    Attributes:
        path: where it stands among the ingredients, such as `("settings", "epochs")`.
        before: its value in the receipt.
        now: its present value.
    """

    path: tuple[str, ...]
    before: object
    now: object

    def __str__(self) -> str:
        name = " ".join(self.path)
        if self.before is _ABSENT:
            return f"{name} is new: {_short(self.now)}"
        if self.now is _ABSENT:
            return f"{name} is gone (was {_short(self.before)})"
        if self.path[0] == "code":
            return f"{name} changed"
        return f"{name}: {_short(self.before)} → {_short(self.now)}"


@dataclass(frozen=True)
class Reason:
    """Why a stage runs, as data; `str` gives the sentence.

    Attributes:
        cause: what kind of reason this is.
        differences: the ingredients that changed, for `INGREDIENTS_CHANGED`.
        detail: the missing stage, the damaged file, or what differs in the world.
    """

    cause: Cause
    differences: tuple[Difference, ...] = ()
    detail: str = ""

    def __str__(self) -> str:
        return "; ".join(self.lines())

    def lines(self) -> list[str]:
        """The reason in sentences, one for each difference; changed code is summed up in one."""
        match self.cause:
            case Cause.UNCHANGED:
                return ["nothing changed"]
            case Cause.NEVER_RAN:
                return ["never ran"]
            case Cause.INPUT_MISSING:
                return [f"waits for {self.detail}"]
            case Cause.FORCED:
                return ["asked for with --force"]
            case Cause.INGREDIENTS_CHANGED:
                return _lines(self.differences)
        return [self.detail]

    def brief(self) -> str:
        """The first sentence and the number of others, for a table."""
        return brief(str(self))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Compare two sets of ingredients; settings come first, code last."""
    old, new = dict(_flat(before)), dict(_flat(now))
    found = [
        Difference(path, old.get(path, _ABSENT), new.get(path, _ABSENT))
        for path in old.keys() | new.keys()
        if old.get(path) != new.get(path)
    ]
    return tuple(sorted(found, key=lambda item: (_rank(item.path), item.path)))


def nearest(receipts: Iterable[Receipt], now: Mapping[str, Any]) -> Receipt | None:
    """The receipt whose ingredients differ least from `now`; of several, the one that was finished last."""
    return min(
        receipts,
        key=lambda receipt: (len(differences(receipt.ingredients, now)), -receipt.finished),
        default=None,
    )


def brief(text: str) -> str:
    """The first sentence of a reason and the number of others."""
    first, *more = text.splitlines()[0].split("; ") if text else [""]
    return f"{first} and {len(more)} more" if more else first


def _lines(found: tuple[Difference, ...]) -> list[str]:
    code = [item for item in found if item.path[0] == "code"]
    lines = [str(item) for item in found if item.path[0] != "code"]
    if len(code) <= _SHOWN_FILES:
        return lines + [str(item) for item in code]
    names = ", ".join(item.path[-1] for item in code[:_SHOWN_FILES])
    return [*lines, f"code: {len(code)} files changed ({names}, …)"]


def _rank(path: tuple[str, ...]) -> int:
    return _ORDER.index(path[0]) if path[0] in _ORDER else len(_ORDER)


def _flat(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, (*path, name))
        else:
            yield (*path, name), inner


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
