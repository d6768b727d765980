"""The output of a run that has nothing to do. Its imports are light: they are all that such a run imports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from flows.cli.output import print_facts, print_line, print_table
from infra.store.proofs import proofs

if TYPE_CHECKING:
    from infra.store.receipts import Receipt


class FreshStage(NamedTuple):
    """What `show` says of a stage; a JSON list in the cache of fresh runs.

    Attributes:
        stage: its name.
        key: of its receipt.
        finished: when, in seconds since 1970.
        emulated: True when a stand-in took part.
        outputs: their number.
        bytes: of all of them.
    """

    stage: str
    key: str
    finished: float
    emulated: bool
    outputs: int
    bytes: int


class Printer:
    """A reporter that prints lines, without progress bars."""

    def line(self, stage: str, text: str) -> None:
        """Print a line."""
        print_line(f"{stage:9} {text}")

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Show nothing."""


def stage_of(receipt: Receipt) -> FreshStage:
    """What `show` says of the stage of a receipt."""
    size = sum(artifact.size for artifact in receipt.outputs.values())
    return FreshStage(
        receipt.stage, receipt.key, receipt.finished, receipt.emulated, outputs=len(receipt.outputs), bytes=size
    )


def show(
    stages: Iterable[FreshStage],
    home: Path,
    facts: Iterable[Sequence[str]] = (),
    repeated: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Print one line for each stage, when each effect was last proved, and the results.

    Args:
        stages: in their order.
        home: has the times of the proofs.
        facts: name and value of each result.
        repeated: the effects that no longer held and were repeated now, with the reason.
    """
    now, proved = time.time(), proofs(home)
    lines = []
    for found in stages:
        made = f"{age(now - found.finished)} ago"
        proof = proved.get(f"{found.stage} {found.key}")
        if proof is not None:
            made += f", last proved {age(now - proof)} ago"
        if found.emulated:
            made += " (stand-in)"
        size = f"{found.outputs} ({found.bytes / 1e6:.1f} MB)"
        lines.append((found.stage, "repeated" if found.stage in repeated else "fresh", found.key[:12], size, made))
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
