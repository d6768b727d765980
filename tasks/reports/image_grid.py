"""A picture of pictures: images in a grid with captions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tasks.figure import SMALL, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def image_grid(images: Pixels, captions: Sequence[str], path: Path, title: str = "") -> None:
    """Draw images with a caption above each, as nearly square as possible (docs/reference/tutorials.md T4: 3 × 3).

    Args:
        images: uint8 [n, height, width, 3].
        captions: n texts.
        path: the PNG file.
        title: of the figure.
    """
    columns = max(1, math.ceil(math.sqrt(len(images))))
    rows = max(1, math.ceil(len(images) / columns))
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    with drawn(path, 1.7 * columns, (1.6 + 0.15 * lines) * rows + 0.4) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, image, caption in zip(grid.flat, images, captions, strict=False):  # the last row may have gaps
            axes.imshow(image, interpolation="nearest")
            axes.set_title(caption, fontsize=SMALL)
        figure.suptitle(title, fontsize=10)


def class_sheet(samples: Mapping[str, Pixels], columns: int, path: Path, title: str) -> None:
    """Draw a row of images for each class, with its name before them.

    Args:
        samples: caption to images, uint8 [n, height, width, 3], at most `columns`.
        columns: images in a row.
        path: the PNG file.
        title: of the figure.
    """
    rows = len(samples)
    with drawn(path, 1.2 * columns + 2.0, 1.25 * rows + 0.5) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for line, (caption, images) in zip(grid, samples.items(), strict=True):
            for axes in line:
                axes.set_axis_off()
            line[0].text(-0.15, 0.5, caption, transform=line[0].transAxes, ha="right", va="center", fontsize=SMALL)
            for axes, image in zip(line, images, strict=False):
                axes.imshow(image, interpolation="nearest")
        figure.suptitle(title, fontsize=10)
