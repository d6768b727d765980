import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mindspore

SPEC = {"epochs": 1, "batch_size": 50, "learning_rate": 0.02}


def train(run: Any, data: Any, folder: Any, **changes: Any) -> Any:
    done = run("train", "--data_url", data, "--train_url", folder, "--spec", json.dumps({**SPEC, **changes}))
    assert done.code == 0, done.errors
    return done.lines, json.loads((folder / "history.jsonl").read_text())


def test_pynative_shows_every_layer_once_and_computes_the_same(run: Any, data: Any, tmp_path: Path) -> None:
    lines, debugged = train(run, data, tmp_path / "pynative", mode="pynative")
    assert lines[:10] == [
        "conv1 (Conv2d): [50, 6, 28, 28]",
        "relu (ReLU): [50, 6, 28, 28]",
        "pool (MaxPool2d): [50, 6, 14, 14]",
        "conv2 (Conv2d): [50, 16, 10, 10]",
        "relu (ReLU): [50, 16, 10, 10]",
        "pool (MaxPool2d): [50, 16, 5, 5]",
        "flatten (Flatten): [50, 400]",
        "fc1 (Dense): [50, 120]",
        "fc2 (Dense): [50, 84]",
        "fc3 (Dense): [50, 10]",
    ]
    assert lines[10].startswith("epoch: 1 step 4, loss is ")
    compiled = train(run, data, tmp_path / "graph")
    assert not any("Conv2d" in line for line in compiled[0])
    assert debugged["loss"] == pytest.approx(compiled[1]["loss"], rel=1e-5)
    assert debugged["evaluation_loss"] == pytest.approx(compiled[1]["evaluation_loss"], rel=1e-4)
