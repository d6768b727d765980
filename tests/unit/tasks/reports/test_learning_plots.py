from pathlib import Path

from PIL import Image

from tasks.reports import learning_plots
from tasks.reports.steps import LayerTime, RateRange, StepTimes


def colours(path: Path) -> set[object]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        colours = picture.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        return {colour for _, colour in colours}


def test_an_epoch_without_evaluation_is_left_out_of_the_curve(tmp_path: Path) -> None:
    rows = [
        {"epoch": str(epoch), "loss": "1.5", "evaluation_loss": value, "accuracy": value}
        for epoch, value in ((1, ""), (2, "0.5"), (3, "0.75"))
    ]
    learning_plots.history(rows, tmp_path / "history.png")
    assert len(colours(tmp_path / "history.png")) > 3


def test_every_schedule_has_a_curve(tmp_path: Path) -> None:
    learning_plots.learning_rates({"constant": [0.1, 0.1]}, 1, tmp_path / "one.png")
    learning_plots.learning_rates({"constant": [0.1, 0.1], "square": [0.1, 0.02]}, 1, tmp_path / "two.png")
    assert len(colours(tmp_path / "two.png")) > len(colours(tmp_path / "one.png"))


def test_the_parts_of_a_step_become_bars(tmp_path: Path) -> None:
    layers = tuple(LayerTime(f"layer{number}", number, 2.0 * number) for number in range(30))
    times = StepTimes("resnet50", 32, True, 1400.0, 4.0, 1.0, 0.5, 0.25, layers, (("ReLU", 2.0),))
    learning_plots.step_times(times, tmp_path / "step.png")
    assert len(colours(tmp_path / "step.png")) > 3


def test_a_range_test_becomes_a_curve(tmp_path: Path) -> None:
    learning_plots.rate_range(RateRange((1e-3, 1e-2, 1e-1), (2.3, 1.8, 9.0), 1e-2, 1e-3), tmp_path / "rates.png")
    assert len(colours(tmp_path / "rates.png")) > 3
