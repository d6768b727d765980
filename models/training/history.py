"""The training history: epochs as CSV and JSON lines, steps as CSV."""

from __future__ import annotations

import csv
import io
import json
import resource
import sys
from typing import TYPE_CHECKING

from ..files import write_text

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
STEP_COLUMNS = ("step", "epoch", "loss", "learning_rate")


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write `history.csv` and `history.jsonl`; evaluation columns are empty for epochs without evaluation."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(folder / "history.csv", text.getvalue())
    write_text(folder / "history.jsonl", "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def write_steps(folder: Path, epoch: int, losses: Sequence[float], rates: Sequence[float]) -> None:
    """Append an epoch's steps to `steps.csv`; replace what a killed run wrote of this epoch or of later ones.

    Args:
        folder: folder of the training.
        epoch: number of the epoch, from 1.
        losses: loss of each step; nine digits represent a float32 exactly.
        rates: learning rate of each step.
    """
    path = folder / "steps.csv"
    kept: list[str] = []
    if epoch > 1 and path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
        kept = [line for line in lines if int(line.split(",", 2)[1]) < epoch]
    first = (epoch - 1) * len(losses) + 1
    pairs = zip(losses, rates, strict=True)
    new = [f"{step},{epoch},{loss:.9g},{rate:.9g}\n" for step, (loss, rate) in enumerate(pairs, first)]
    write_text(path, "".join([",".join(STEP_COLUMNS) + "\n", *kept, *new]))


def peak_memory_mb() -> float:
    """Return the peak resident memory of this process in MB (10⁶ bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
