"""Parse arguments as the binding does, with CPython's `PyArg_ParseTuple` (docs/reference/pyacl.md §4.4).

A program that passes here what the binding refuses would stop on a board, so every mismatch is the `TypeError` that the
binding raises.
"""

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

_Parser = Callable[[Any], Any]


def _exact(bits: int) -> _Parser:
    """`k` and `K`: an `int` itself, cut to its bits."""
    mask = 2**bits - 1

    def parse(value: Any) -> int:
        if not isinstance(value, int):
            raise TypeError
        masked: int = value & mask
        return masked

    return parse


def _masked(bits: int) -> _Parser:
    """`I`, `H` and `B`: whatever has `__index__`, cut to its bits."""
    mask = 2**bits - 1
    return lambda value: index(value) & mask


def _ranged(low: int, high: int) -> _Parser:
    """`i`, `h`, `b` and `L`: whatever has `__index__`, within the type's limits."""

    def parse(value: Any) -> int:
        number = index(value)
        if not low <= number <= high:
            raise TypeError
        return number

    return parse


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError
    return value


_PARSERS: dict[str, _Parser] = {
    "k": _exact(64),
    "K": _exact(64),
    "I": _masked(32),
    "H": _masked(16),
    "B": _masked(8),
    "i": _ranged(-(2**31), 2**31 - 1),
    "h": _ranged(-(2**15), 2**15 - 1),
    "b": _ranged(0, 255),
    "L": _ranged(-(2**63), 2**63 - 1),
    "f": float,
    "s": _text,
    "O": lambda value: value,
}


def parser(name: str, form: str) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that turns positional arguments into values, or raises the binding's TypeError.

    Args:
        name: the function, such as `acl.rt.malloc`.
        form: its letters, as in `_binding`.
    """
    if form == "-":
        return lambda _arguments: []
    if form == "*":
        return list
    required, _, optional = form.partition("|")
    parsers = [_PARSERS[letter] for letter in required + optional]
    fewest, most = len(required), len(parsers)
    message = f"{name} args parse failed"

    def parse(arguments: Sequence[Any]) -> list[Any]:
        if not fewest <= len(arguments) <= most:
            raise TypeError(message)
        try:
            return [part(argument) for part, argument in zip(parsers, arguments, strict=False)]
        except (TypeError, ValueError, OverflowError):
            raise TypeError(message) from None

    return parse
