"""Pictures of numbers, as PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def confusion_matrix(metrics: Mapping[str, Any], path: Path) -> None:
    """Draw the confusion matrix (rows: the true class, columns: the answer; counts) to a PNG file."""
    matrix = np.asarray(metrics["confusion_matrix"], np.int64)
    names = [row["class"] for row in metrics["per_class"]]
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if count > matrix.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    axes.set_title(f"{matrix.sum():,} images, accuracy {metrics['accuracy']:.4f}")
    figure.colorbar(image, ax=axes, label="images")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def parity(ledger: Mapping[str, Any], times: Mapping[str, float], path: Path) -> None:
    """Draw the parity ledger: a row a hop, a column a class, agreement as colour, the other figures beside it.

    Args:
        ledger: what `tasks.release.parity.ledger` gives.
        times: milliseconds by the name of a hop's end.
        path: the PNG file.
    """
    hops = [hop for hop in ledger["hops"] if hop["whole"] is not None]
    names = list(dict.fromkeys(row["class"] for hop in hops for row in hop["whole"]["per_class"]))
    figure = Figure(figsize=(13, 1.9 + 0.45 * max(1, len(hops))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if not hops:
        axes.text(0.5, 0.5, "nothing was executed here, so nothing is compared", ha="center", va="center")
        axes.set_axis_off()
    else:
        _draw_agreement(axes, hops, names)
        figures = [_figures(hop, times, " of a stand-in" if ledger["emulated"] else "") for hop in hops]
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(range(len(hops)), figures, fontsize=8)
        beside.tick_params(length=0)
    least = ledger["bounds"]["min_agreement"]
    axes.set_title(
        f"agreement with the checkpoint by class in percent, {ledger['images']:,} images, at least {least:.2%} overall"
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_agreement(axes: Any, hops: list[Mapping[str, Any]], names: list[str]) -> None:
    values = np.full((len(hops), len(names)), np.nan)
    for line, hop in enumerate(hops):
        for row in hop["whole"]["per_class"]:
            values[line, names.index(row["class"])] = row["agreement"]
    axes.imshow(values, cmap="RdYlGn", vmin=0.8, vmax=1.0, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = "black" if 0.83 < value < 0.97 else "white"
            axes.text(column, line, f"{value * 100:.1f}", ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(hops)), [f"{hop['from']} → {hop['to']}" for hop in hops], fontsize=8)


def _figures(hop: Mapping[str, Any], times: Mapping[str, float], whose: str) -> str:
    """The figures of a hop in two short lines."""
    whole = hop["whole"]
    difference = "not finite" if whole["max_difference"] is None else f"{whole['max_difference']:.2g}"
    took = f", {times[hop['to']]:.2f} ms{whose}" if hop["to"] in times else ""
    verdict = "FAILS" if hop["objection"] else "passes"
    return (
        f"{verdict}: agreement {whole['agreement']:.4f}, cosine {whole['cosine']:.5f}\n"
        f"max difference {difference}, accuracy {whole['accuracy']:.4f}, {hop['bytes']:,} B{took}"
    )
