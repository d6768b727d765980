"""The stand-in's version: a digest of its code, so that a changed stand-in changes the keys."""

from functools import cache
from pathlib import Path

from infra.store.code_digest import closure
from infra.store.digests import value_digest

_CHECKOUT = Path(__file__).resolve().parents[3]


@cache
def stand_in_version() -> str:
    """SHA-256 over the syntax trees of the stand-in's command and all first-party modules that it imports."""
    return value_digest(closure(["infra.atc.emulator.command"], _CHECKOUT))
