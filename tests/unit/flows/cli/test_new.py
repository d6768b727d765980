import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from flows.cli.new import new
from infra.errors import UserError
from infra.home import PROJECT, enter_project, home
from infra.settings import load
from tasks.dataset.suggestion import suggest
from tasks.specs import train_spec
from tests.unit.tasks.dataset_pictures import class_folders


def test_a_project_has_settings_that_fit_its_pictures(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    source = class_folders(tmp_path / "some 图片")
    monkeypatch.chdir(tmp_path)
    new("parts", source)
    shown = capsys.readouterr().out
    assert "24 pictures of 3 classes" in shown
    assert "image_size" in shown
    project = tmp_path / "parts"
    said = tomllib.loads((project / "atlasflow.toml").read_text(encoding="utf-8"))
    assert said["data"]["source"] == str(source)
    assert (project / ".gitignore").read_text() == ".atlasflow/\n"
    monkeypatch.delenv("ATLASFLOW_HOME", raising=False)
    monkeypatch.setenv(PROJECT, "")
    monkeypatch.delenv(PROJECT)
    inner = project / "deep" / "er"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    enter_project()
    try:
        assert home() == project / ".atlasflow"
        settings = load()
    finally:
        os.environ.pop(PROJECT)
        os.environ.pop("ATLASFLOW_HOME")
    spec = train_spec(settings)
    assert (spec.classes, spec.image_size, spec.normalisation, spec.network) == (3, 32, "measured", "compact")
    assert settings.evaluate.min_accuracy == 0.67
    assert load().data.source == "sample"


@pytest.mark.parametrize(
    ("name", "words"), [("taken", "is not empty"), ("fine", "is not a folder"), ("flat", "no class folders")]
)
def test_a_project_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: Any, name: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    source = class_folders(tmp_path / "source", 1)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").write_text("")
    images = {"taken": source, "fine": tmp_path / "nowhere", "flat": source / "disc"}[name]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=words) as caught:
        new(name, images)
    assert caught.value.exit_code == 2
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("pictures", "classes", "side", "size"), [(12, 2, 20, 32), (50_000, 1000, 500, 64)])
def test_suggestions_can_be_trained(pictures: int, classes: int, side: int, size: int) -> None:
    found = {item.name: item.value for item in suggest(pictures, classes, [side])}
    assert found["image_size"] == str(size)
    assert int(found["batch_size"]) <= pictures * 0.8
    assert 1 / classes < float(found["evaluate.min_accuracy"]) < 1
