"""Draw the parity ledger as a PNG file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.figure import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.ports.comparison import Comparison
    from tasks.release.ledger import Hop, Ledger

WIDTH = 8.2  # inches: about as wide as the page that shows it, so that nothing shrinks
TEXT = 9  # points
MOST_FIGURES, MOST_NAMES = 12, 40  # columns that have room for a figure, and names of columns


def draw(ledger: Ledger, times: Mapping[str, float], path: Path) -> None:
    """Draw the parity ledger: a row a hop, a column a class, agreement as colour, the other figures beside it.

    Args:
        ledger: to be drawn.
        times: milliseconds by the name of a hop's end.
        path: the PNG file.
    """
    hops = [(hop, hop.whole) for hop in ledger.hops if hop.whole is not None]
    names = list(dict.fromkeys(row.name for _, whole in hops for row in whole.per_class))
    least = ledger.bounds.min_agreement
    with drawn(path, WIDTH, 1.7 + 0.55 * max(1, len(hops))) as figure:
        axes = figure.subplots()
        if not hops:
            axes.text(0.5, 0.5, "nothing was executed here, so nothing is compared", ha="center", va="center")
            axes.set_axis_off()
        else:
            _draw_agreement(axes, hops, names)
            beside = axes.secondary_yaxis("right")
            beside.set_yticks(range(len(hops)), [_figures(*hop, times) for hop in hops], fontsize=TEXT)
            beside.tick_params(length=0)
        title = f"agreement with the checkpoint in percent, {ledger.images:,} images; wanted: {least:.2%}"
        axes.set_title(f"{title}; with stand-ins" if ledger.emulated else title, fontsize=TEXT + 1)


def _draw_agreement(axes: Any, hops: Sequence[tuple[Hop, Comparison]], names: list[str]) -> None:
    values = np.full((len(hops), len(names)), np.nan)
    for line, (_, whole) in enumerate(hops):
        for row in whole.per_class:
            values[line, names.index(row.name)] = row.agreement
    axes.imshow(values, cmap="RdYlGn", vmin=0.8, vmax=1.0, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = "black" if 0.83 < value < 0.97 else "white"
            if len(names) <= MOST_FIGURES:
                text = f"{value * 100:.1f}".removesuffix(".0")
                axes.text(column, line, text, ha="center", va="center", fontsize=TEXT, color=color)
    every = -(-len(names) // MOST_NAMES)
    axes.set_xticks(range(0, len(names), every), names[::every], rotation=45, ha="right", fontsize=TEXT)
    axes.set_yticks(range(len(hops)), [f"{hop.source}\n→ {hop.target}" for hop, _ in hops], fontsize=TEXT)


def _figures(hop: Hop, whole: Comparison, times: Mapping[str, float]) -> str:
    """The verdict and the figures that decide it, in two short lines; the table has the others."""
    verdict = "FAILS" if hop.objection is not None else "passes"
    time = f", {times[hop.target]:.2f} ms" if hop.target in times else ""
    return f"{verdict}: {whole.agreement:.2%}\naccuracy {whole.accuracy:.2%}{time}"
