"""Pictures of a run's report, small enough to embed in its Markdown, where they never expire."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from models.preprocess import softmax
from tasks.figure import SMALL, drawn
from tasks.reports.cache import address
from tasks.reports.learning_plots import curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GRID = 5
COLOURS = 128
DPI = 90
RIGHT, WRONG = "#15803d", "#b91c1c"
TICK, CROSS = "✓", "✗"

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[Any]]


def embedded(picture: Path | bytes) -> str:
    """Encode a PNG as a `data:` address."""
    return address(small(picture))


def small(picture: Path | bytes) -> bytes:
    """Reduce a PNG to a palette: charts look the same, and are much smaller."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as opened:
        opened.convert("RGB").quantize(COLOURS).save(content, "PNG", optimize=True)
    return content.getvalue()


def curves(epochs: Sequence[Mapping[str, str]], steps: Sequence[Mapping[str, str]]) -> bytes:
    """Draw loss, accuracy and learning rate of a training.

    Args:
        epochs: rows of `history.csv`; epochs without evaluation have empty figures.
        steps: rows of `steps.csv`; if empty, loss and rate of the epochs are drawn.
    """
    content = io.BytesIO()
    with drawn(content, 11, 3.4, dpi=DPI, layout=None) as figure:
        loss, accuracy, rate = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.05, right=0.99, top=0.9, bottom=0.16, wspace=0.2)
        if steps:
            per_epoch = len(steps) / max(1, len(epochs))
            places = [int(row["step"]) / per_epoch for row in steps]
            loss.plot(places, [float(row["loss"]) for row in steps], linewidth=0.5, alpha=0.4, label="each step")
            rate.plot(places, [float(row["learning_rate"]) for row in steps])
        else:
            curve(rate, epochs, "learning_rate", "")
        curve(loss, epochs, "loss", "training")
        curve(loss, epochs, "evaluation_loss", "evaluation")
        loss.legend(loc="upper right", fontsize=SMALL)
        curve(accuracy, epochs, "accuracy", "")
        for axes, title in ((loss, "loss"), (accuracy, "accuracy on the evaluation images"), (rate, "learning rate")):
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("epoch")
            axes.grid(alpha=0.3)
    return small(content.getvalue())


def samples(images: Pixels, labels: Numbers, logits: Numbers, names: Sequence[str]) -> bytes:
    """Draw some images with their answers, right ones in green with a tick, wrong ones in red with the true class.

    Args:
        images: uint8 [n, height, width, 3], RGB.
        labels: the true classes, integers [n].
        logits: float [n, classes].
        names: of the classes.
    """
    rows = max(1, -(-len(images) // GRID))
    confidence = softmax(logits).max(axis=1)
    answers = logits.argmax(axis=1)
    content = io.BytesIO()
    with drawn(content, 1.75 * GRID, 1.95 * rows, dpi=DPI, layout=None) as figure:
        grid = figure.subplots(rows, GRID, squeeze=False)
        figure.subplots_adjust(left=0.01, right=0.99, top=1 - 0.35 / (1.95 * rows), bottom=0.01, hspace=0.32)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, image, answer, label, sure in zip(grid.flat, images, answers, labels, confidence, strict=False):
            is_right = answer == label
            text = f"{TICK if is_right else CROSS} {names[answer]} {sure:.0%}"
            axes.imshow(image, interpolation="nearest")
            axes.set_title(
                text if is_right else f"{text}\nis {names[label]}", fontsize=SMALL, color=RIGHT if is_right else WRONG
            )
    return small(content.getvalue())
