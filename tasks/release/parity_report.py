"""Write the parity ledger as data, as a table and as a picture."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from tasks.release.parity import with_board

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tasks.release.deployment import DeployedBoard
    from tasks.release.ledger import Hop, Ledger

COLUMNS = (
    "from", "to", "images", "agreement", "cosine", "max difference", "accuracy", "accuracy drop", "worst class",
    "bytes", "ms", "verdict",
)  # fmt: skip


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
        writer.writerows(rows(ledger, times))
    draw(ledger, times, files["picture"])
    return files


def rows(ledger: Ledger, times: Mapping[str, float]) -> list[dict[str, Any]]:
    """The ledger as a table for people.

    Args:
        ledger: to be shown.
        times: milliseconds by the target of a hop; a hop without a time gets an empty cell.
    """
    return [_row(hop, ledger, times) for hop in ledger.hops]


def _row(hop: Hop, ledger: Ledger, times: Mapping[str, float]) -> dict[str, Any]:
    from models.parity import worst_class

    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row |= {"from": hop.source, "to": hop.target, "bytes": hop.bytes, "verdict": verdict(hop, ledger)}
    if hop.target in times:
        row["ms"] = round(times[hop.target], 3)
    if (whole := hop.whole) is not None:
        worst = worst_class(whole.to_json())
        row |= {
            "images": whole.images,
            "agreement": round(whole.agreement, 4),
            "cosine": round(whole.cosine, 6),
            "max difference": "not finite" if whole.max_difference is None else f"{whole.max_difference:.3g}",
            "accuracy": round(whole.accuracy, 4),
            "accuracy drop": round(whole.accuracy_drop, 4),
            "worst class": f"{worst['class']} ({worst['agreement']:.4f})" if worst["agreement"] < 1 else "none",
        }
    return row


def verdict(hop: Hop, ledger: Ledger) -> str:
    """The verdict for people: chosen, passes, fails, or why it was not compared."""
    if hop.objection is not None:
        return "fails"
    if hop.soc_version and ledger.chosen[hop.soc_version] == hop.precision:
        return "chosen" + (f", not executed here: {hop.reason}" if hop.whole is None else "")
    return "passes" if hop.whole is not None else f"not compared: {hop.reason}"
