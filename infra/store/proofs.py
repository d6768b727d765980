"""When an effect was last confirmed: `home/proofs.json`, stage and key to seconds since 1970.

Receipts never change, so these times are kept apart from them. Standard library only, since the output of a run without
work shows these times.
"""

import json
from pathlib import Path
from typing import Any

from infra.store.atomic import write_text
from infra.store.bookkeeping import read_json
from infra.store.locks import hold


def proofs(home: Path) -> dict[str, float]:
    """Return every proof by `stage key`; empty when there is none yet."""
    return read_json(home / "proofs.json", _times) or {}


def _times(body: Any) -> dict[str, float]:
    return {str(name): float(when) for name, when in body.items()}


def note(home: Path, stage: str, key: str, now: float) -> None:
    """Record that the effect of a stage was confirmed at `now`."""
    with hold(home / "locks" / "proofs"):
        write_text(home / "proofs.json", json.dumps({**proofs(home), f"{stage} {key}": now}, indent=1))


def forget(home: Path, keys: set[str]) -> None:
    """Drop the proofs of keys that are not in `keys`."""
    with hold(home / "locks" / "proofs"):
        kept = {name: when for name, when in proofs(home).items() if name.rpartition(" ")[2] in keys}
        write_text(home / "proofs.json", json.dumps(kept, indent=1))
