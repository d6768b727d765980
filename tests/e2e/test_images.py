"""A folder of pictures goes the whole way by `atlasflow new` and `atlasflow run`, to the very pixels."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.preprocess import contract_from_json
from tests.e2e.conftest import assert_nothing_runs, install
from tests.e2e.installation import Installation
from tests.unit.tasks.dataset_pictures import COLOURS, class_folders

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


@pytest.fixture
def home(tmp_path: Path, small_archive: Path) -> Iterator[Installation]:
    made: Installation = install(tmp_path, small_archive)
    yield made
    made.atlasflow("down")
    assert_nothing_runs(made)


def test_three_classes_are_shipped_once(home: Installation, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", 12, ".jpg")
    said = home.atlasflow("new", str(tmp_path / "parts"), "--images", str(photos))
    assert "36 pictures of 3 classes" in said
    changed = ["train.epochs=2", "evaluate.min_accuracy=0", "data.sha256=", "data.fit=letterbox"]
    changed.append(f"data.source={photos}")
    own = ["--profile", str(tmp_path / "parts" / "atlasflow.toml")]
    for setting in changed:
        own += ["--set", setting]
    home.atlasflow("run", *own)
    answers = json.loads((home.folder / "latest" / "deploy" / "answers.json").read_text())["laptop"]
    assert {answer["top"][0]["class"] for answer in answers} <= set(COLOURS)
    [release] = (home.folder / "latest" / "publish" / "release").iterdir()
    contract = contract_from_json(json.loads((release / "release.json").read_text()))
    assert (contract.size, contract.fit) == (32, "letterbox")
    seen = {contract.image(contract.open(str(path))).tobytes() for path in photos.rglob("*.jpg")}
    assert {image.tobytes() for image in np.load(release / "smoke" / "images.npy")} <= seen
    report = json.loads((home.folder / "latest" / "download" / "report" / "report.json").read_text())
    assert sum(report["parts"].values()) == 36
    assert "Everything is fresh" in home.atlasflow("run", *own)
