"""What happened in each epoch, as CSV and as JSON lines."""

from __future__ import annotations

import csv
import io
import json
import resource
import sys
from typing import TYPE_CHECKING

from .files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, object]
COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "evaluation_loss",
    "learning_rate",
    "seconds",
    "step_ms",
    "images_per_second",
    "peak_memory_mb",
)


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write `history.csv` and `history.jsonl`; an epoch without evaluation has empty figures for it."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(folder / "history.csv", text.getvalue())
    write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (10⁶ bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
