"""Values of specification fields: conversion from text and JSON."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

from ..failures import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    tuple: "whole numbers, separated by commas",
}


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Return a hint that names the candidate closest to `word`, or all candidates."""
    known = sorted(candidates)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"one of {', '.join(known)}"


def read_value(name: str, value: object, default: object) -> object:
    """Convert a field's value, which may be text, to the type of the field's default.

    Raises:
        SpecError: the value does not fit; names the field.
    """
    try:
        if isinstance(default, bool):
            return _boolean(value)
        if isinstance(default, int):
            return _integer(value)
        if isinstance(default, float):
            return _real(value)
        if isinstance(default, tuple):
            return _integers(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpecError(f"{name}: invalid value {value!r}", f"expected {_KINDS[type(default)]}") from error
    if not isinstance(value, str):
        raise SpecError(f"{name}: {value!r} is not text")
    return value


def _boolean(value: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError(value)


def _integer(value: object) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(value)
    return int(value)


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _integers(value: object) -> tuple[int, ...]:
    if isinstance(value, str):
        return tuple(int(part) for part in value.split(",") if part.strip())
    if not isinstance(value, (list, tuple)):
        raise TypeError(value)
    return tuple(_integer(part) for part in value)
