"""Why a stage runs again: which ingredients differ from those of its last receipt."""

from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for each ingredient that differs, such as `settings epochs: 30 → 3`."""
    old, new = dict(_flat(before)), dict(_flat(now))
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        words = " ".join(name)
        if name not in old:
            lines.append(f"{words} is new: {_short(new[name])}")
        elif name not in new:
            lines.append(f"{words} is gone (was {_short(old[name])})")
        elif name[0] == "code":
            lines.append(f"{words} changed")
        else:
            lines.append(f"{words}: {_short(old[name])} → {_short(new[name])}")
    return lines


def brief(reason: str) -> str:
    """The first line of a reason and how many more there are, for a table."""
    first, *more = reason.splitlines()[0].split("; ") if reason else [""]
    return f"{first} and {len(more)} more" if more else first


def _flat(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, (*path, name))
        else:
            yield (*path, name), inner


def _short(value: object) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text
