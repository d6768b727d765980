"""The command `ship`: a check answers without starting anything, and everything else becomes settings of a run."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from flows.cli import app, run, ship
from infra.errors import UserError
from tests.unit.infra.atc import foreign


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    (tmp_path / "photos").mkdir()
    for name, make in foreign.MODELS.items():
        onnx.save(make(), tmp_path / f"{name}.onnx")
    return tmp_path


def shipped(folder: Path, model: str, *options: str) -> Any:
    arguments = ["ship", str(folder / model), "--classes", str(folder / "classes.txt"), *options]
    return CliRunner().invoke(app.app, arguments)


def test_a_check_names_each_change_and_starts_nothing(folder: Path) -> None:
    done = shipped(folder, "keras.onnx", "--check")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "fixed: unused operator domains: ai.onnx.ml → dropped" in lines
    assert lines[-1] == "keras.onnx can be compiled: 16 pixels, 5 classes"
    assert not (folder / "home").exists()


def test_an_error_ends_it_with_its_remedy(folder: Path) -> None:
    onnx.save(foreign.REFUSED["training mode"][0](), folder / "bad.onnx")
    done = shipped(folder, "bad.onnx", "--check")
    assert isinstance(done.exception, UserError)
    assert "exported in training mode" in done.exception.message
    assert "model.eval()" in done.exception.hint


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("none.onnx", [], "there is no file"),
        ("any_size.onnx", ["--check"], "leaves dimensions open"),
        ("classes.txt", ["--check"], "no .onnx and no .air"),
        ("keras.onnx", [], "--images is missing"),
    ],
)
def test_what_is_missing_is_named(folder: Path, model: str, options: list[str], message: str) -> None:
    done = shipped(folder, model, *options)
    assert isinstance(done.exception, UserError)
    assert message in str(done.exception)


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("torch_resnet.onnx", [], {"train.normalisation": '"imagenet"', "train.image_size": "16"}),
        ("keras_bytes.onnx", [], {"train.normalisation": '"0,0,0,0.00392156862745098,0.00392156862745098,0.003921'}),
        ("keras.onnx", ["--scale", "signed", "--fit", "crop"], {"data.fit": '"crop"', "train.normalisation": '"0.5,'}),
        ("any_size.onnx", ["--size", "24"], {"train.image_size": "24"}),
        ("keras.onnx", ["--board", "porch", "--board", "attic"], {"deploy.boards": '["porch", "attic"]'}),
        ("keras.onnx", ["--set", "convert.max_images=9"], {"convert.max_images": "9"}),
    ],
)
def test_the_rest_is_a_run_of_three_stages(
    folder: Path, monkeypatch: pytest.MonkeyPatch, model: str, options: list[str], expected: dict[str, str]
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(run, "run", lambda profile, stage, settings: asked.update(stage=stage, settings=settings))
    done = shipped(folder, model, "--images", str(folder / "photos"), *options)
    assert done.exit_code == 0, done.output
    assert asked["stage"] == ["convert", "publish", "deploy"]
    settings = dict(text.split("=", 1) for text in asked["settings"])
    assert settings["convert.model"] == f'"{folder / model}"'
    assert settings["convert.images"] == f'"{folder / "photos"}"'
    for name, value in expected.items():
        assert settings[name].startswith(value), settings


def test_every_scale_is_a_normalisation_of_a_training(folder: Path) -> None:
    from models.data.images import normalisation
    from models.spec.recipes import resolve

    for text in ship.SCALES.values():
        spec = resolve("quick", {"normalisation": text})
        assert normalisation(spec.normalisation, None).order == "RGB"
    whole = normalisation(ship.SCALES["bytes"], None)
    assert [round(255 / 255 / std) for std in whole.std] == [255] * 3
