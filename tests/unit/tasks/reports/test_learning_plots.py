import numpy as np
import pytest
from PIL import Image

from tasks.reports import learning_plots
from tests.unit.tasks.doubles import METRICS

RED, BLUE = (255, 0, 0), (0, 0, 255)


def colours(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}


def plain(*values):
    return np.stack([np.full((32, 32, 3), value, np.uint8) for value in values])


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_a_grid_shows_every_image(tmp_path, count):
    shades = [(200, 10 * index, 0) for index in range(count)]
    learning_plots.image_grid(plain(*shades), [str(shade) for shade in shades], tmp_path / "grid.png")
    assert set(shades) <= colours(tmp_path / "grid.png")


def test_mistakes_show_the_images_that_the_metrics_name(tmp_path):
    learning_plots.confident_mistakes(METRICS, plain(BLUE, BLUE, BLUE, RED), tmp_path / "mistakes.png")
    assert RED in colours(tmp_path / "mistakes.png")
    assert BLUE not in colours(tmp_path / "mistakes.png")


def test_a_network_without_mistakes_has_a_picture_too(tmp_path):
    learning_plots.confident_mistakes({"confident_mistakes": []}, plain(BLUE), tmp_path / "none.png")
    assert BLUE not in colours(tmp_path / "none.png")


def test_a_reliability_diagram_depends_on_the_bins(tmp_path):
    learning_plots.reliability(METRICS, tmp_path / "one.png")
    row = {"upper": 1.0, "images": 4, "confidence": 0.95, "accuracy": 0.25}
    bins = [METRICS["calibration"]["bins"][0], row]
    learning_plots.reliability({**METRICS, "calibration": {"error": 0.2, "bins": bins}}, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


def test_an_epoch_without_evaluation_is_left_out_of_the_curve(tmp_path):
    rows = [
        {"epoch": str(epoch), "loss": "1.5", "evaluation_loss": value, "accuracy": value}
        for epoch, value in ((1, ""), (2, "0.5"), (3, "0.75"))
    ]
    learning_plots.history(rows, tmp_path / "history.png")
    assert len(colours(tmp_path / "history.png")) > 3


def test_every_schedule_has_a_curve(tmp_path):
    learning_plots.learning_rates({"constant": [0.1, 0.1]}, 1, tmp_path / "one.png")
    learning_plots.learning_rates({"constant": [0.1, 0.1], "square": [0.1, 0.02]}, 1, tmp_path / "two.png")
    assert len(colours(tmp_path / "two.png")) > len(colours(tmp_path / "one.png"))
