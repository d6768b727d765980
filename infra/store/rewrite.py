"""Rewrite the receipts of a home in the current schema; the originals are kept aside."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.errors import Refused
from infra.store.atomic import sync, write_bytes, write_text
from infra.store.gc import ASIDE, LOCK
from infra.store.locks import hold
from infra.store.receipts import SCHEMA, parse, text_of


@dataclass(frozen=True)
class Rewritten:
    """The outcome for one receipt.

    Attributes:
        stage: of the receipt.
        key: of the receipt.
        schema: of the original.
        outcome: `upgraded`, or `kept aside`: it cannot be read any more, so its stage runs again.
        note: the path of the original, and the reason.
    """

    stage: str
    key: str
    schema: int
    outcome: Literal["upgraded", "kept aside"]
    note: str


def rewrite(home: Path, *, dry_run: bool) -> list[Rewritten]:
    """Rewrite every receipt of an older schema; after a kill, the next call continues.

    Raises:
        Corrupt: a receipt is damaged; those before it are done.
        Refused: a receipt has a newer schema; those before it are done.
    """
    done = []
    with hold(home / "locks" / LOCK):
        for path in sorted((home / "receipts").glob("*/*.json")):
            text = path.read_bytes()
            number = _schema(text)
            if number is None or number >= SCHEMA:
                parse(text, path)
                continue
            kept = home / ASIDE / f"schema-{number}" / path.parent.name / path.name
            done.append(_rewrite(path, text, number, kept, dry_run=dry_run))
    return done


def _rewrite(path: Path, text: bytes, number: int, kept: Path, *, dry_run: bool) -> Rewritten:
    stage, key = path.parent.name, path.stem
    try:
        receipt = parse(text, path)
    except Refused as error:
        if not dry_run:
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.rename(kept)
            sync(kept.parent)
            sync(path.parent)
        return Rewritten(stage, key, number, "kept aside", f"{error.message}; now {kept}")
    if not dry_run:
        write_bytes(kept, text)
        write_text(path, text_of(receipt))
    return Rewritten(stage, key, number, "upgraded", f"as it was: {kept}")


def _schema(text: bytes) -> int | None:
    """Return the schema of a receipt; None when it has none, which `parse` reports."""
    try:
        number = json.loads(text)["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return number if isinstance(number, int) else None
