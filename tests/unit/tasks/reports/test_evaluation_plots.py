from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.metrics import Metrics
from tasks.reports import evaluation_plots
from tasks.reports.image_grid import image_grid
from tests.unit.tasks.doubles import METRICS

RED, BLUE = (255, 0, 0), (0, 0, 255)
FOUND = Metrics.from_json(METRICS)


def colours(path: Path) -> set[object]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        colours = picture.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        return {colour for _, colour in colours}


def plain(*values: tuple[int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.stack([np.full((32, 32, 3), value, np.uint8) for value in values])


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_a_grid_shows_every_image(tmp_path: Path, count: int) -> None:
    shades = [(200, 10 * index, 0) for index in range(count)]
    image_grid(plain(*shades), [str(shade) for shade in shades], tmp_path / "grid.png")
    assert set(shades) <= colours(tmp_path / "grid.png")


def test_mistakes_show_the_images_that_the_metrics_name(tmp_path: Path) -> None:
    evaluation_plots.confident_mistakes(FOUND, plain(BLUE, BLUE, BLUE, RED), tmp_path / "mistakes.png")
    assert RED in colours(tmp_path / "mistakes.png")
    assert BLUE not in colours(tmp_path / "mistakes.png")


def test_a_network_without_mistakes_has_a_picture_too(tmp_path: Path) -> None:
    evaluation_plots.confident_mistakes(replace(FOUND, mistakes=()), plain(BLUE), tmp_path / "none.png")
    assert BLUE not in colours(tmp_path / "none.png")


def test_a_reliability_diagram_depends_on_the_bins(tmp_path: Path) -> None:
    evaluation_plots.reliability(FOUND, tmp_path / "one.png")
    bins = (FOUND.calibration[0], replace(FOUND.calibration[1], accuracy=0.25))
    evaluation_plots.reliability(replace(FOUND, calibration=bins), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()
