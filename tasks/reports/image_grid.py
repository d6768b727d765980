"""A picture of pictures: images in a grid with captions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tasks.figure import SMALL, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    with drawn(path, 1.7 * columns, 1.9 * rows + 0.4) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, image, caption in zip(grid.flat, images, captions, strict=False):  # the last row may have gaps
            axes.imshow(image, interpolation="nearest")
            axes.set_title(caption, fontsize=SMALL)
        figure.suptitle(title, fontsize=10)
