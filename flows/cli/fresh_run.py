"""The output of a run that has nothing to do. Its imports are light: they are all that such a run imports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flows.cli.output import print_facts, print_line, print_table
from infra.store.proofs import proofs

if TYPE_CHECKING:
    from infra.store.receipts import Receipt


class Printer:
    """A reporter that prints lines, without progress bars."""

    def line(self, stage: str, text: str) -> None:
        """Print a line."""
        print_line(f"{stage:9} {text}")

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Show nothing."""


def rows_of(receipts: Iterable[Receipt]) -> list[dict[str, Any]]:
    """Make the rows of `show`, as JSON values for the cache of fresh runs."""
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


def show(
    rows: Sequence[Mapping[str, Any]],
    home: Path,
    facts: Iterable[Sequence[str]] = (),
    repeated: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print one line for each stage, when each effect was last proved, and the results.

    Args:
        rows: from `rows_of`.
        home: has the times of the proofs.
        facts: name and value of each result.
        repeated: the effects that no longer held and were repeated now, with the reason.
    """
    now, proved = time.time(), proofs(home)
    lines = []
    for row in rows:
        made = f"{age(now - row['finished'])} ago"
        if f"{row['stage']} {row['key']}" in proved:
            made += f", last proved {age(now - proved[row['stage'] + ' ' + row['key']])} ago"
        if row["emulated"]:
            made += " (stand-in)"
        size = f"{row['outputs']} ({row['bytes'] / 1e6:.1f} MB)"
        lines.append((row["stage"], "repeated" if row["stage"] in repeated else "fresh", row["key"][:12], size, made))
    print_table(("stage", "state", "key", "outputs", "made"), lines, right=("outputs",))
    print_facts((name, value) for name, value in facts)
    for stage, reason in repeated.items():
        print_line(f"{stage} was repeated: {reason}")
    if repeated:
        return
    print_line("Everything is fresh: nothing to do. `atlasflow run --prove` asks bucket and boards again.")


def age(seconds: float) -> str:
    """A span of time in one unit, such as `5 min`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
