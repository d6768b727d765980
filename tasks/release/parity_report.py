"""The parity ledger on file: as data, as a table and as a picture."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from tasks.release.parity import with_board

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tasks.release.parity import Hop, Ledger

COLUMNS = (
    "from", "to", "images", "agreement", "cosine", "max difference", "accuracy", "accuracy drop", "worst class",
    "bytes", "ms", "verdict",
)  # fmt: skip


def write_with_boards(book: Ledger, boards: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Path]:
    """Write the ledger with a hop for each board, as data, table and picture; output name to file.

    Args:
        book: the ledger of the convert stage.
        boards: what the deploy stage knows of each board: `facts` (with `soc_version`) and `smoke`.
        folder: where the files go.
    """
    times = {}
    for name, said in boards.items():
        book = with_board(book, name, said["facts"]["soc_version"], said["smoke"])
        if said["smoke"].get("milliseconds") is not None:
            times[f"board {name}"] = said["smoke"]["milliseconds"]
    return write(book, times, folder)


def write(book: Ledger, times: Mapping[str, float], folder: Path) -> dict[str, Path]:
    """Write the ledger, the times, and both as a table and a picture; output name to file.

    Args:
        book: the ledger.
        times: milliseconds by the name of a hop's end.
        folder: where the files go.
    """
    from tasks.reports.plots import parity as draw

    files = {
        "ledger": folder / "ledger.json",
        "latency": folder / "latency.json",
        "parity": folder / "parity.csv",
        "picture": folder / "parity.png",
    }
    files["ledger"].write_text(json.dumps(book, indent=1, sort_keys=True))
    files["latency"].write_text(json.dumps(times, indent=1, sort_keys=True))
    with files["parity"].open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows(book, times))
    draw(book, times, files["picture"])
    return files


def rows(book: Ledger, times: Mapping[str, float]) -> list[dict[str, Any]]:
    """The ledger as a table for people.

    Args:
        book: the ledger.
        times: milliseconds by the name of a hop's end; what is not there is left empty.
    """
    return [_row(hop, book, times) for hop in book["hops"]]


def _row(hop: Hop, book: Ledger, times: Mapping[str, float]) -> dict[str, Any]:
    from models.parity import worst_class

    whole = hop["whole"]
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    row |= {"from": hop["from"], "to": hop["to"], "bytes": hop["bytes"], "verdict": verdict(hop, book)}
    if hop["to"] in times:
        row["ms"] = round(times[hop["to"]], 3)
    if whole is not None:
        worst = worst_class(whole)
        difference = whole["max_difference"]
        row |= {
            "images": whole["images"],
            "agreement": round(whole["agreement"], 4),
            "cosine": round(whole["cosine"], 6),
            "max difference": "not finite" if difference is None else f"{difference:.3g}",
            "accuracy": round(whole["accuracy"], 4),
            "accuracy drop": round(whole["accuracy_drop"], 4),
            "worst class": f"{worst['class']} ({worst['agreement']:.4f})",
        }
    return row


def verdict(hop: Hop, book: Ledger) -> str:
    """One word or a reason: chosen, passes, fails, or why it was not compared."""
    if hop["objection"]:
        return "fails"
    if hop["soc_version"] and book["chosen"][hop["soc_version"]] == hop["precision"]:
        return "chosen" + (f", not executed here: {hop['reason']}" if hop["whole"] is None else "")
    return "passes" if hop["whole"] is not None else f"not compared: {hop['reason']}"
