import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows.cli import export_files
from infra.errors import UserError
from infra.settings import Settings

COMPILED = {"Ascend310/model.om": b"om"}


class Store:
    """Artifacts that are files, or folders by name."""

    def path(self, artifact: Path) -> Path:
        return artifact

    def files(self, artifact: Path) -> dict[str, Any]:
        found = [path for path in sorted(artifact.rglob("*")) if path.is_file()]
        return {path.relative_to(artifact).as_posix(): SimpleNamespace(path=path) for path in found}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    result = json.dumps({"epochs": 90, "steps_per_epoch": 1875}).encode()
    train = {"checkpoint": write(tmp_path / "t", b"ckpt"), "result": write(tmp_path / "r", result)}
    export = {"air": write(tmp_path / "a", b"air"), "onnx": write(tmp_path / "o", b"onnx"), "logits": tmp_path}
    for name, content in COMPILED.items():
        write(tmp_path / "om" / name, content)
    outputs = {"train": train, "export": export, "convert": {"om": tmp_path / "om"}}
    known = {stage: SimpleNamespace(outputs=found) for stage, found in outputs.items()}
    return SimpleNamespace(known=known, store=Store(), settings=Settings(), look_at_all=list)


def run(chain: Any, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setattr(export_files, "open_chain", lambda *_: chain)
    app = typer.Typer()
    app.callback()(lambda: None)
    export_files.register(app)
    return CliRunner().invoke(app, ["files", *words])


def test_files_have_the_tutorials_names(chain: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = run(chain, monkeypatch, str(tmp_path / "new" / "files"), "--prefix", "resnet", "--om", "resnet50")
    assert done.exit_code == 0, done.output
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "files").iterdir()}
    named = {"resnet-90_1875.ckpt": b"ckpt", "resnet-90_1875.air": b"air", "resnet-90_1875.onnx": b"onnx"}
    assert written == {**named, "resnet50.om": b"om"}


def test_by_themselves_they_are_named_after_the_network(chain: Any) -> None:
    del chain.known["convert"], chain.known["export"].outputs["onnx"]
    assert list(export_files.named(chain, "lenet5", "lenet5")) == ["lenet5-90_1875.ckpt", "lenet5-90_1875.air"]
    del chain.known["export"], chain.known["train"].outputs["result"]
    assert list(export_files.named(chain, "lenet5", "lenet5")) == ["lenet5.ckpt"]


def test_several_compiled_models_keep_apart(chain: Any, tmp_path: Path) -> None:
    write(tmp_path / "om" / "Ascend310B4" / "int8" / "model.om", b"other")
    assert list(export_files.named(chain, "x", "x"))[-2:] == ["x_Ascend310.om", "x_Ascend310B4_int8.om"]


@pytest.mark.parametrize("words", [("--prefix", "../resnet"), ("--om", ".hidden")])
def test_a_name_with_a_path_is_refused(
    chain: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, str]
) -> None:
    assert isinstance(run(chain, monkeypatch, str(tmp_path / "new"), *words).exception, UserError)
    assert not (tmp_path / "new").exists()


def test_without_a_training_there_is_nothing(chain: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chain.known.clear()
    assert "no checkpoint" in str(run(chain, monkeypatch, str(tmp_path / "new")).exception)
