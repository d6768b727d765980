"""The picture of a robustness measurement, as PNG file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.figure import SMALL, drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.metrics import Robustness


def accuracies(found: Robustness, path: Path) -> None:
    """Draw accuracy over severity, a line a corruption; severity 0 is the clean images."""
    with drawn(path, 6.4, 4.2) as figure:
        axes = figure.subplots()
        for name, row in found.accuracy.items():
            severities, values = zip((0, found.clean_accuracy), *sorted(row.items()), strict=True)
            axes.plot(severities, values, marker=".", label=name.replace("_", " "))
        axes.set_xticks(range(6))
        axes.set_ylim(0, 1)
        axes.set_xlabel("severity")
        axes.set_ylabel("accuracy")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right", fontsize=SMALL)
        axes.set_title(f"{found.images:,} images, mean corruption error {found.mean_error:.4f}")
