import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.errors import Corrupt
from tasks.stages import evaluate
from tests.unit.tasks.doubles import METRICS, data_tree, read, work_of


class Model:
    """A world whose evaluation writes given metrics, and remembers what it was asked."""

    def __init__(self, error: Any = None) -> None:
        self.error = error
        self.asked: Any = None

    def models(self) -> Any:
        return self

    def run(self, command: Any, arguments: Any, log: Any) -> None:
        self.asked = command, arguments
        log.write_text("evaluated\n")
        if self.error:
            raise self.error
        folder = Path(arguments["output"])
        (folder / "metrics.json").write_text(json.dumps(METRICS))
        (folder / "predictions.npz").write_bytes(b"logits")


def run(tmp_path: Path, world: Any) -> Any:
    context = work_of(tmp_path, {"data": data_tree(), "checkpoint": b"weights"}, world=world)
    return context, evaluate.run(context)


def test_the_command_gets_data_checkpoint_and_the_networks_spec(tmp_path: Path) -> None:
    world = Model()
    context, _ = run(tmp_path, world)
    command, arguments = world.asked
    assert command == "evaluate"
    assert (context.folder / "data" / "eval" / "test_batch.bin").resolve() == context.files["data"][
        "eval/test_batch.bin"
    ].path
    assert arguments["data_url"] == str(context.folder / "data")
    assert Path(arguments["checkpoint"]).read_bytes() == b"weights"
    assert read(context.folder / "spec.json")["network"] == "lenet5"


def test_metrics_become_a_table_and_a_picture(tmp_path: Path) -> None:
    _, made = run(tmp_path, Model())
    assert made.note == "accuracy 0.7500"
    assert set(made.outputs) >= {"metrics", "predictions", "per_class", "confusion"}
    with made.outputs["per_class"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"class": "dog", "precision": "1.0", "recall": "0.5", "f1": "0.667", "support": "2"}
    with Image.open(made.outputs["confusion"]) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300


def test_pictures_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(run(tmp_path / name, Model())[1].outputs)
    for name in ("confusion", "reliability", "mistakes"):
        assert made[0][name].suffix == ".png"
        assert made[0][name].read_bytes() == made[1][name].read_bytes()


def test_a_failed_evaluation_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="checkpoint"):
        run(tmp_path, Model(Corrupt("the checkpoint is damaged")))
