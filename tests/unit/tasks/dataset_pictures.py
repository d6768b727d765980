"""Small pictures drawn by code, for tests of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"disc": (200, 60, 40), "square": (40, 160, 60), "stripes": (50, 70, 200)}


def drawing(kind: str, seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A shape on noise, at a place and in a size that depend on the seed."""
    random = np.random.default_rng(seed)
    width, height = size
    picture = Image.fromarray(random.integers(90, 200, (height, width, 3), dtype=np.uint8))
    draw = ImageDraw.Draw(picture)
    side = int(random.integers(min(size) // 3, min(size) * 2 // 3))
    left, top = int(random.integers(0, width - side)), int(random.integers(0, height - side))
    box = (left, top, left + side, top + side)
    if kind == "disc":
        draw.ellipse(box, fill=COLOURS[kind])
    elif kind == "square":
        draw.rectangle(box, fill=COLOURS[kind])
    else:
        for row in range(top, top + side, 4):
            draw.line((left, row, left + side, row), fill=COLOURS[kind], width=2)
    return picture


def class_folders(folder: Path, count: int = 8, suffix: str = ".png") -> Path:
    """A folder with `count` drawings in a folder for each of three classes."""
    for number, kind in enumerate(COLOURS):
        for index in range(count):
            path = folder / kind / f"{index:03d}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            drawing(kind, 1000 * number + index).save(path)
    return folder
