"""Pictures of an evaluation, as PNG files: confusion, calibration, mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import PowerNorm

from tasks.figure import SMALL, drawn
from tasks.reports.image_grid import image_grid

if TYPE_CHECKING:
    from pathlib import Path

    from models.data.images import Pixels
    from tasks.metrics import Metrics

_NUMBERED = 20  # classes whose counts are written into the cells
_TICKS = 100  # names along an axis
_TINY = 6  # points: a name for each of 100 classes
_LONGEST = 22  # letters of a name in a caption


def confusion_matrix(metrics: Metrics, path: Path) -> None:
    """Draw the confusion matrix (rows: the true class, columns: the answer), with counts in the cells for few classes.

    For many classes the picture grows, and rare confusions get more colour than their share.
    """
    matrix = np.asarray(metrics.confusion, np.int64)
    names = [row.name for row in metrics.per_class]
    few = len(names) <= _NUMBERED
    ticks = range(0, len(names), -(-len(names) // _TICKS))
    shown = [names[place] for place in ticks]
    side = 6.4 if few else 6 + 0.08 * min(len(names), _TICKS)
    with drawn(path, side + 0.6, side) as figure:
        axes = figure.subplots()
        image = axes.imshow(matrix, cmap="Blues", interpolation="nearest", norm=None if few else PowerNorm(0.5))
        for (row, column), count in np.ndenumerate(matrix) if few else ():
            color = "white" if count > matrix.max() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=SMALL, color=color)
        axes.set_xticks(ticks, shown, rotation=45 if few else 90, ha="right" if few else "center")
        axes.set_yticks(ticks, shown)
        if not few:
            axes.tick_params(labelsize=_TINY)
        axes.set_xlabel("answer")
        axes.set_ylabel("true class")
        axes.set_title(f"{matrix.sum():,} images, accuracy {metrics.accuracy:.4f}")
        figure.colorbar(image, ax=axes, label="images")


def reliability(metrics: Metrics, path: Path) -> None:
    """Draw the reliability diagram: how often answers of each confidence are right (C. Guo et al. 2017)."""
    width = 1 / len(metrics.calibration)
    filled = [((index + 0.5) * width, row) for index, row in enumerate(metrics.calibration) if row.images]
    middles = [middle for middle, _ in filled]
    with drawn(path, 5.6, 6.4) as figure:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        shares = [row.accuracy for _, row in filled]
        axes.bar(middles, shares, width, edgecolor="white", label="share of right answers")
        axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfectly calibrated")
        axes.set_ylabel("accuracy")
        axes.set_ylim(0, 1)
        axes.legend(loc="upper left")
        axes.set_title(f"{metrics.images:,} images, expected calibration error {metrics.calibration_error:.4f}")
        below.bar(middles, [row.images for _, row in filled], width, color="grey", edgecolor="white")
        below.set_ylabel("images")
        below.set_xlabel("confidence")
        below.set_xlim(0, 1)


def confident_mistakes(metrics: Metrics, images: Pixels, path: Path) -> None:
    """Draw the wrong answers with the highest probability.

    Args:
        metrics: of an evaluation.
        images: the evaluation images, uint8 [n, side, side, 3], RGB.
        path: the PNG file.
    """
    captions = [f"{_short(row.label)}\nnot {_short(row.predicted)}\n{row.confidence:.0%}" for row in metrics.mistakes]
    title = "most confident mistakes" if captions else "no mistakes"
    image_grid(images[np.array([row.image for row in metrics.mistakes], int)], captions, path, title)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
