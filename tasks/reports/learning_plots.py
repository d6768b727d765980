"""Pictures of a training, as PNG files: learning rates and history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.training.means import running_mean
from tasks.figure import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tasks.reports.steps import RateRange, StepTimes

_BARS = 20


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


def step_times(times: StepTimes, path: Path) -> None:
    """Draw the milliseconds of a step by part, the longest on top.

    Args:
        times: of a step; of many layers, the longest are drawn, and the rest as one bar.
        path: the PNG file.
    """
    layers = sorted(times.layers, key=lambda layer: layer.both, reverse=True)
    bars = [(layer.name, layer.forward_ms, layer.backward_ms, 0.0) for layer in layers[:_BARS]]
    rest = layers[_BARS:]
    if rest:
        forward, backward = (sum(getattr(layer, name) for layer in rest) for name in ("forward_ms", "backward_ms"))
        bars.append((f"{len(rest)} other layers", forward, backward, 0.0))
    bars += [(name, 0.0, 0.0, milliseconds) for name, milliseconds in times.rest]
    with drawn(path, 8, 1.2 + 0.26 * len(bars)) as figure:
        axes = figure.subplots()
        places = np.arange(len(bars))
        forward, backward, plain = (np.array([bar[column] for bar in bars]) for column in (1, 2, 3))
        axes.barh(places, forward, label="forward")
        axes.barh(places, backward, left=forward, label="backward")
        axes.barh(places, plain, color="0.6")
        axes.set_yticks(places, [bar[0] for bar in bars])
        axes.invert_yaxis()
        axes.set_xlabel(f"milliseconds of a step of {times.step_ms:.1f} ms, batch {times.batch_size}")
        axes.legend(loc="lower right")


def rate_range(found: RateRange, path: Path) -> None:
    """Draw the loss of a short training over its rising learning rate.

    Args:
        found: rates and losses.
        path: the PNG file.
    """
    with drawn(path, 7, 4.2) as figure:
        axes = figure.subplots()
        axes.plot(found.rates, found.losses, linewidth=0.7, alpha=0.4, label="each step")
        axes.plot(found.rates, running_mean(found.losses), label="running mean")
        for rate, name, color in ((found.steepest, "steepest", "C2"), (found.cautious, "cautious", "C3")):
            axes.axvline(rate, color=color, linestyle="--", label=f"{name}: {rate:.2g}")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.2 * max(found.losses[: max(1, len(found.losses) // 2)]))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss")
        axes.grid(alpha=0.3)
        axes.legend()


def curve(axes: Any, rows: Sequence[Mapping[str, str]], column: str, label: str, **style: str) -> None:
    """Draw a column over the epochs that have a value in it; `style` is Matplotlib's, of the line."""
    points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
    axes.plot([epoch for epoch, _ in points], [value for _, value in points], marker=".", label=label, **style)
