"""Draw the parity ledger as a PNG file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.figure import SMALL, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.ports.comparison import Comparison
    from tasks.release.ledger import Hop, Ledger


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
    with drawn(path, 13, 1.9 + 0.45 * max(1, len(hops))) as figure:
        axes = figure.subplots()
        if not hops:
            axes.text(0.5, 0.5, "nothing was executed here, so nothing is compared", ha="center", va="center")
            axes.set_axis_off()
        else:
            _draw_agreement(axes, hops, names)
            figures = [_figures(hop, whole, times, " of a stand-in" if ledger.emulated else "") for hop, whole in hops]
            beside = axes.secondary_yaxis("right")
            beside.set_yticks(range(len(hops)), figures, fontsize=SMALL)
            beside.tick_params(length=0)
        axes.set_title(
            f"agreement with the checkpoint by class in percent, {ledger.images:,} images, at least {least:.2%} overall"
        )


def _draw_agreement(axes: Any, hops: Sequence[tuple[Hop, Comparison]], names: list[str]) -> None:
    values = np.full((len(hops), len(names)), np.nan)
    for line, (_, whole) in enumerate(hops):
        for row in whole.per_class:
            values[line, names.index(row.name)] = row.agreement
    axes.imshow(values, cmap="RdYlGn", vmin=0.8, vmax=1.0, aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = "black" if 0.83 < value < 0.97 else "white"
            axes.text(column, line, f"{value * 100:.1f}", ha="center", va="center", fontsize=SMALL, color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(hops)), [f"{hop.source} → {hop.target}" for hop, _ in hops], fontsize=SMALL)


def _figures(hop: Hop, whole: Comparison, times: Mapping[str, float], origin: str) -> str:
    """The figures of a hop in two short lines."""
    difference = "not finite" if whole.max_difference is None else f"{whole.max_difference:.2g}"
    time = f", {times[hop.target]:.2f} ms{origin}" if hop.target in times else ""
    verdict = "FAILS" if hop.objection is not None else "passes"
    return (
        f"{verdict}: agreement {whole.agreement:.4f}, cosine {whole.cosine:.5f}\n"
        f"max difference {difference}, accuracy {whole.accuracy:.4f}, {hop.bytes:,} B{time}"
    )
