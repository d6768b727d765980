"""A model of another framework, from its file to classified pictures on a board, by the installed command."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.e2e.conftest import assert_nothing_runs, install
from tests.e2e.installation import Installation
from tests.unit.infra.atc import foreign

pytestmark = pytest.mark.slow

NAMES = ("red leaf", "grün", "蓝", "schräg", "last")


@pytest.fixture
def home(tmp_path: Path, small_archive: Path) -> Iterator[Installation]:
    made: Installation = install(tmp_path, small_archive)
    yield made
    made.atlasflow("down")
    assert_nothing_runs(made)


def test_a_keras_model_is_shipped_once(home: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    onnx.save(foreign.keras(), folder / "model.onnx")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))
    random = np.random.default_rng(1)
    for place, name in enumerate(NAMES):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 120, (40, 50, 3), np.uint8)
            pixels[..., place % 3] += 100
            Image.fromarray(pixels).save(folder / "photos" / name / f"p {number}.jpg")
    own = (str(folder / "model.onnx"), "--classes", str(folder / "classes.txt"), "--images", str(folder / "photos"))
    said = home.atlasflow("ship", *own, "--scale", "signed", "--fit", "crop")
    assert "ends with Softmax → left off" in said
    assert "10 pictures with their classes" in said
    ledger = json.loads((home.folder / "latest" / "convert" / "ledger.json").read_text())
    assert [(hop["from"], hop["whole"]["agreement"]) for hop in ledger["hops"]] == [("model", 1.0), ("onnx", 1.0)]
    card = (home.folder / "latest" / "publish" / "model-card.md").read_text()
    assert "Its own accuracy is" in card
    answers = json.loads((home.folder / "latest" / "deploy" / "answers.json").read_text())
    assert {answer["top"][0]["class"] for answer in answers["laptop"]} <= set(NAMES)
    assert "Everything is fresh" in home.atlasflow("ship", *own, "--scale", "signed", "--fit", "crop")
