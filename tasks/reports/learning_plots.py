"""Pictures about data and learning, as PNG files: images, learning rates, histories, calibration, mistakes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def image_grid(images: Pixels, captions: Sequence[str], path: Path, title: str = "") -> None:
    """Draw images with a caption under each, in a square as far as they go (docs/reference/tutorials.md T4: 3 × 3).

    Args:
        images: uint8 [n, height, width, 3].
        captions: n texts.
        path: the PNG file.
        title: above all.
    """
    columns = max(1, int(np.ceil(np.sqrt(len(images)))))
    rows = max(1, -(-len(images) // columns))
    figure = _figure(1.7 * columns, 1.9 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):  # places may be left over
        axes.imshow(image, interpolation="nearest")
        axes.set_title(caption, fontsize=8)
    figure.suptitle(title, fontsize=10)
    _save(figure, path)


def learning_rates(rates: Mapping[str, Sequence[float]], steps_per_epoch: int, path: Path) -> None:
    """Draw the learning rate of every step, a curve a schedule (docs/reference/tutorials.md T4).

    Args:
        rates: name to one value a step.
        steps_per_epoch: for the axis.
        path: the PNG file.
    """
    figure = _figure(7, 4.2)
    axes = figure.subplots()
    for name, values in rates.items():
        axes.plot(np.arange(len(values)) / steps_per_epoch, values, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("learning rate")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    _save(figure, path)


def history(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw loss and accuracy over the epochs.

    Args:
        rows: of `history.csv`; epochs without evaluation have empty figures.
        path: the PNG file.
    """
    figure = _figure(10, 4.2)
    loss, accuracy = figure.subplots(1, 2)
    _curve(loss, rows, "loss", "training")
    _curve(loss, rows, "evaluation_loss", "evaluation")
    loss.set_ylabel("mean loss")
    loss.legend(loc="upper right")
    _curve(accuracy, rows, "accuracy", "evaluation")
    accuracy.set_ylabel("accuracy")
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    _save(figure, path)


def reliability(metrics: Mapping[str, Any], path: Path) -> None:
    """Draw the reliability diagram: how often answers of each confidence are right (C. Guo et al. 2017)."""
    bins = metrics["calibration"]["bins"]
    width = 1 / len(bins)
    filled = [(index, row) for index, row in enumerate(bins) if row["images"]]
    middles = [(index + 0.5) * width for index, _ in filled]
    figure = _figure(5.6, 6.4)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.bar(middles, [row["accuracy"] for _, row in filled], width, edgecolor="white", label="share of right answers")
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfectly calibrated")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    axes.legend(loc="upper left")
    axes.set_title(f"{metrics['images']:,} images, expected calibration error {metrics['calibration']['error']:.4f}")
    below.bar(middles, [row["images"] for _, row in filled], width, color="grey", edgecolor="white")
    below.set_ylabel("images")
    below.set_xlabel("confidence")
    below.set_xlim(0, 1)
    _save(figure, path)


def confident_mistakes(metrics: Mapping[str, Any], images: Pixels, path: Path) -> None:
    """Draw the wrong answers that the network was most sure of.

    Args:
        metrics: of an evaluation.
        images: the evaluation images, uint8 [n, 32, 32, 3], RGB.
        path: the PNG file.
    """
    rows = metrics["confident_mistakes"]
    captions = [f"{row['label']}\nnot {row['predicted']} ({row['confidence']:.0%})" for row in rows]
    title = "most confident mistakes" if rows else "no mistakes"
    image_grid(images[[row["image"] for row in rows]] if rows else images[:0], captions, path, title)


def _curve(axes: Any, rows: Sequence[Mapping[str, str]], column: str, label: str) -> None:
    points = [(int(row["epoch"]), float(row[column])) for row in rows if row[column]]
    axes.plot([epoch for epoch, _ in points], [value for _, value in points], marker=".", label=label)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    """Equal figures give equal bytes."""
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
