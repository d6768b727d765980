"""Pictures of a training, as PNG files: learning rates and history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.figure import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def learning_rates(rates: Mapping[str, Sequence[float]], steps_per_epoch: int, path: Path) -> None:
    """Draw the learning rate of every step, a curve a schedule (docs/reference/tutorials.md T4).

    Args:
        rates: name to one value a step.
        steps_per_epoch: for the axis.
        path: the PNG file.
    """
    with drawn(path, 7, 4.2) as figure:
        axes = figure.subplots()
        for name, values in rates.items():
            axes.plot(np.arange(len(values)) / steps_per_epoch, values, label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel("learning rate")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")


def history(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw loss and accuracy over the epochs.

    Args:
        rows: of `history.csv`; epochs without evaluation have empty figures.
        path: the PNG file.
    """
    with drawn(path, 10, 4.2) as figure:
        loss, accuracy = figure.subplots(1, 2)
        curve(loss, rows, "loss", "training")
        curve(loss, rows, "evaluation_loss", "evaluation")
        loss.set_ylabel("mean loss")
        loss.legend(loc="upper right")
        curve(accuracy, rows, "accuracy", "evaluation")
        accuracy.set_ylabel("accuracy")
        for axes in (loss, accuracy):
            axes.set_xlabel("epoch")
            axes.grid(alpha=0.3)


def curve(axes: Any, rows: Sequence[Mapping[str, str]], column: str, label: str, **style: str) -> None:
    """Draw a column over the epochs that have a value in it; `style` is Matplotlib's, of the line."""
    points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
    axes.plot([epoch for epoch, _ in points], [value for _, value in points], marker=".", label=label, **style)
