"""What a run says when there is nothing to do. Light: it is all that such a run shows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def rows_of(looks: Sequence[Any]) -> list[dict[str, Any]]:
    """What `show` needs of each fresh stage, as plain values.

    Args:
        looks: a `tasks.stage.Look` with a receipt for each stage.
    """
    return [
        {
            "stage": look.stage,
            "key": look.key,
            "finished": look.receipt.finished,
            "proved": look.receipt.proved,
            "emulated": look.receipt.emulated,
            "outputs": len(look.receipt.outputs),
            "bytes": sum(artifact.size for artifact in look.receipt.outputs.values()),
        }
        for look in looks
    ]


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line a stage, and when each effect was last seen to hold."""
    table = Table(box=None, pad_edge=False)
    for title, side in (("stage", "left"), ("state", "left"), ("key", "left"), ("outputs", "right"), ("made", "left")):
        table.add_column(title, justify=side)  # type: ignore[arg-type]  # one of rich's literals
    now = time.time()
    for row in rows:
        made = f"{age(now - row['finished'])} ago"
        if row["proved"] is not None:
            made += f", last proved {age(now - row['proved'])} ago"
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
