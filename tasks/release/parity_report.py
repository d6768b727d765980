"""Write the parity ledger as data, as a table and as a picture."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.release.parity import with_board

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.ports.comparison import Comparison
    from tasks.release.deployment import DeployedBoard
    from tasks.release.ledger import Hop, Ledger

COLUMNS = (
    "from", "to", "images", "agreement", "cosine", "max difference", "accuracy", "accuracy drop", "worst class",
    "bytes", "ms", "verdict",
)  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """How a form of the model agrees with the checkpoint, as people read it.

    Attributes:
        images: that were compared.
        agreement: share of images with the same top class.
        cosine: mean cosine of the logits.
        max_difference: largest difference of two logits, or `not finite`.
        accuracy: share of right answers, 0 to 1.
        accuracy_drop: the checkpoint's accuracy minus this one.
        worst_class: the class that agrees worst and its agreement, or `none`.
    """

    images: int
    agreement: float
    cosine: float
    max_difference: str
    accuracy: float
    accuracy_drop: float
    worst_class: str

    @classmethod
    def of(cls, whole: Comparison) -> Agreement:
        """Round the figures of a comparison."""
        from models.parity import worst_class

        worst = worst_class(whole.to_json())
        return cls(
            whole.images,
            round(whole.agreement, 4),
            round(whole.cosine, 6),
            "not finite" if whole.max_difference is None else f"{whole.max_difference:.3g}",
            round(whole.accuracy, 4),
            round(whole.accuracy_drop, 4),
            f"{worst['class']} ({worst['agreement']:.4f})" if worst["agreement"] < 1 else "none",
        )


@dataclass(frozen=True)
class ParityRow:
    """A hop of the ledger.

    Attributes:
        source: the form that it starts from.
        target: the form that it ends at.
        bytes: size of the target's file.
        verdict: for people.
        agreement: with the checkpoint; None where the target was not executed.
        milliseconds: of one image; None where they were not measured.
    """

    source: str
    target: str
    bytes: int
    verdict: str
    agreement: Agreement | None
    milliseconds: float | None

    def cells(self) -> dict[str, str | float]:
        """The cell of each of COLUMNS; empty where nothing is known."""
        cells: dict[str, str | float] = dict.fromkeys(COLUMNS, "")
        cells["from"], cells["to"] = self.source, self.target
        cells["bytes"], cells["verdict"] = self.bytes, self.verdict
        if self.milliseconds is not None:
            cells["ms"] = round(self.milliseconds, 3)
        if self.agreement is not None:
            for name, value in vars(self.agreement).items():
                cells[name.replace("_", " ")] = value
        return cells


def write_with_boards(ledger: Ledger, boards: Mapping[str, DeployedBoard], folder: Path) -> dict[str, Path]:
    """Write the ledger with a hop for each board, as data, table and picture; output name to file.

    Args:
        ledger: of the convert stage.
        boards: the result of the deployment on each board.
        folder: where the files go.
    """
    times = {}
    for name, board in boards.items():
        ledger = with_board(ledger, name, board.facts.soc_version, board.smoke)
        if board.smoke is not None and board.smoke.milliseconds is not None:
            times[f"board {name}"] = board.smoke.milliseconds
    return write(ledger, times, folder)


def write(ledger: Ledger, times: Mapping[str, float], folder: Path) -> dict[str, Path]:
    """Write the ledger, the times, and both as a table and a picture; output name to file.

    Args:
        ledger: to be written.
        times: milliseconds by the target of a hop.
        folder: where the files go.
    """
    from tasks.release.parity_plot import draw

    files = {
        "ledger": folder / "ledger.json",
        "latency": folder / "latency.json",
        "parity": folder / "parity.csv",
        "picture": folder / "parity.png",
    }
    files["ledger"].write_text(json.dumps(ledger.to_json(), indent=1, sort_keys=True))
    files["latency"].write_text(json.dumps(times, indent=1, sort_keys=True))
    with files["parity"].open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row.cells() for row in rows(ledger, times))
    draw(ledger, times, files["picture"])
    return files


def rows(ledger: Ledger, times: Mapping[str, float]) -> list[ParityRow]:
    """The ledger as a table for people.

    Args:
        ledger: to be shown.
        times: milliseconds by the target of a hop; a hop without a time gets an empty cell.
    """
    return [_row(hop, ledger, times) for hop in ledger.hops]


def _row(hop: Hop, ledger: Ledger, times: Mapping[str, float]) -> ParityRow:
    return ParityRow(
        hop.source,
        hop.target,
        hop.bytes,
        verdict(hop, ledger),
        None if hop.whole is None else Agreement.of(hop.whole),
        times.get(hop.target),
    )


def verdict(hop: Hop, ledger: Ledger) -> str:
    """The verdict for people: chosen, passes, fails, or why it was not compared."""
    if hop.objection is not None:
        return "fails"
    if hop.soc_version and ledger.chosen[hop.soc_version] == hop.precision:
        return "chosen" + (f", not executed here: {hop.reason}" if hop.whole is None else "")
    return "passes" if hop.whole is not None else f"not compared: {hop.reason}"
