"""The stages beside the chain: corrupted images, and what a checkpoint makes of them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.errors import Corrupt
from infra.settings import load
from models.data.corruption import corrupt as corrupted
from models.data.images import read_images
from tasks.stages import corrupt, robustness
from tests.unit.tasks.doubles import Inputs, data_tree, read, work_of

SETTINGS = {
    "robustness.corruptions": '["contrast", "gaussian_noise"]',
    "robustness.severities": "[1, 5]",
    "robustness.images": "20",
}
FOUND = {
    "images": 20,
    "clean_accuracy": 0.75,
    "accuracy": {"contrast": {"1": 0.7, "5": 0.5}},
    "corruption_error": {"contrast": 0.4},
    "mean_corruption_error": 0.4,
}


def test_each_set_can_be_read_as_evaluation_images(tmp_path: Path) -> None:
    context = work_of(tmp_path, {"data": data_tree()}, settings=SETTINGS)
    made = corrupt.run(context)
    folder = made.outputs["images"]
    found = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    assert found == ["contrast/1", "contrast/5", "gaussian_noise/1", "gaussian_noise/5"]
    (tmp_path / "clean").mkdir()
    clean = read_images(context.link_input("data", tmp_path / "clean"), "eval")
    for name in found:
        kind, severity = name.split("/")
        images = read_images(folder / name, "eval")
        assert np.array_equal(images.labels, clean.labels[:20])
        assert np.array_equal(images.pixels[:], corrupted(clean.pixels[:20], kind, int(severity), 1))
    assert context.reporter.moved[-1:] == [(4, 4, "sets")]
    assert made.note == "20 images in 4 ways"


def test_the_order_of_the_settings_is_no_ingredient() -> None:
    one = load(overrides={"robustness.severities": "[1, 3]"})
    two = load(overrides={"robustness.severities": "[3, 1, 3]"})
    assert corrupt.STAGE.settings(one) == corrupt.STAGE.settings(two)
    assert corrupt.STAGE.settings(one) != corrupt.STAGE.settings(load())


class Model:
    """A world whose evaluation on corruptions finds given figures, and remembers what it was asked."""

    def __init__(self, error: Any = None) -> None:
        self.error = error
        self.asked: Any = None

    def models(self) -> Any:
        return self

    def run(self, command: Any, arguments: Any, log: Any) -> None:
        self.asked = command, arguments
        if self.error:
            raise self.error
        folder = Path(arguments["output"])
        (folder / "robustness.json").write_text(json.dumps(FOUND))
        (folder / "predictions.npz").write_bytes(b"answers")


def run(tmp_path: Path, world: Any) -> Any:
    inputs: Inputs = {"data": data_tree(), "images": {"contrast/1/eval/test_batch.bin": b"1"}, "checkpoint": b"weights"}
    context = work_of(tmp_path, inputs, world=world)
    return context, robustness.run(context)


def test_the_command_gets_both_sets_of_images_and_the_checkpoint(tmp_path: Path) -> None:
    world = Model()
    context, _ = run(tmp_path, world)
    command, arguments = world.asked
    assert command == "evaluate"
    assert (Path(arguments["corrupted_url"]) / "contrast" / "1" / "eval" / "test_batch.bin").read_bytes() == b"1"
    assert (Path(arguments["data_url"]) / "eval" / "test_batch.bin").exists()
    assert Path(arguments["checkpoint"]).read_bytes() == b"weights"
    assert read(context.folder / "spec.json")["network"] == "lenet5"


def test_figures_become_a_table_and_a_picture(tmp_path: Path) -> None:
    _, made = run(tmp_path, Model())
    assert made.note == "mean corruption error 0.4000"
    with made.outputs["table"].open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["corruption", "severity", "accuracy"],
        ["clean", "0", "0.75"],
        ["contrast", "1", "0.7"],
        ["contrast", "5", "0.5"],
    ]
    with Image.open(made.outputs["plot"]) as picture:
        assert min(picture.size) > 300
    assert read(made.outputs["robustness"]) == FOUND


def test_a_failed_measurement_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="damaged"):
        run(tmp_path, Model(Corrupt("the checkpoint is damaged")))
