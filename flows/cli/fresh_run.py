"""What a run says when there is nothing to do. Light: it is all that such a run shows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from infra.store.proofs import proofs

if TYPE_CHECKING:
    from infra.store.receipts import Receipt


class Printer:
    """A reporter that prints lines; what is put right under `--prove` takes too little time for bars."""

    def line(self, stage: str, text: str) -> None:
        """One line to read."""
        Console().print(f"{stage:9} {text}", markup=False, highlight=False, soft_wrap=True)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """How far the stage is; not shown."""


def rows_of(receipts: Iterable[Receipt]) -> list[dict[str, Any]]:
    """What `show` needs of each fresh stage, as plain values."""
    return [
        {
            "stage": receipt.stage,
            "key": receipt.key,
            "finished": receipt.finished,
            "emulated": receipt.emulated,
            "outputs": len(receipt.outputs),
            "bytes": sum(artifact.size for artifact in receipt.outputs.values()),
        }
        for receipt in receipts
    ]


def show(rows: Sequence[Mapping[str, Any]], home: Path) -> None:
    """Print one line a stage, and when each effect was last seen to hold."""
    table = Table(box=None, pad_edge=False)
    for title, side in (("stage", "left"), ("state", "left"), ("key", "left"), ("outputs", "right"), ("made", "left")):
        table.add_column(title, justify=side)  # type: ignore[arg-type]  # one of rich's literals
    now, proved = time.time(), proofs(home)
    for row in rows:
        made = f"{age(now - row['finished'])} ago"
        if f"{row['stage']} {row['key']}" in proved:
            made += f", last proved {age(now - proved[row['stage'] + ' ' + row['key']])} ago"
        if row["emulated"]:
            made += " (stand-in)"
        size = f"{row['outputs']} ({row['bytes'] / 1e6:.1f} MB)"
        table.add_row(row["stage"], "fresh", row["key"][:12], size, made)
    console = Console()
    console.print(table)
    console.print("Everything is fresh: nothing to do. `atlasflow run --prove` asks bucket and boards again.")


def age(seconds: float) -> str:
    """A span of time in one unit, such as `5 min`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
