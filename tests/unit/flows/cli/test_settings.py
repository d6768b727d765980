import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import completion
from flows.cli.app import app
from infra.errors import UserError


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, ["settings", *words])


def rows(*words: str) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(invoke(*words, "--json").stdout)}


def test_values_and_their_origins_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[obs]\nprefix = 'mine'\n")
    monkeypatch.setenv("ATLASFLOW_OBS__BUCKET", "bucket-of-mine")
    monkeypatch.setenv("ATLASFLOW_OBS__SECRET_KEY", "nobody-may-see-this")
    found = rows("obs.", "--profile", str(own), "--set", "obs.region=other")
    assert {
        name: (found[name]["value"], found[name]["source"]) for name in found if found[name]["source"] != "default"
    } == {
        "obs.bucket": ("bucket-of-mine", "environment"),
        "obs.prefix": ("mine", "own.toml"),
        "obs.region": ("other", "command line"),
        "obs.secret_key": ("set", "environment"),
    }


def test_a_field_of_the_recipe_has_the_recipe_s_value() -> None:
    found = rows("train.", "--set", "train.recipe=resnet50-tutorial")
    assert found["train.network"]["value"] == "resnet50"
    assert found["train.network"]["source"] == "recipe resnet50-tutorial"


def test_a_pattern_finds_meanings_too() -> None:
    assert "train.crop" in invoke("padding").stdout
    assert isinstance(invoke("zzz").exception, UserError)


def test_one_setting_is_explained() -> None:
    text = invoke("explain", "train.epochs").stdout
    assert "passes over the training images" in text
    assert "train, publish" in text
    assert "ATLASFLOW_TRAIN__EPOCHS" in text
    assert "did you mean 'train.epochs'?" in str(invoke("explain", "train.epoch").exception)


def test_a_profile_is_written_once(tmp_path: Path) -> None:
    path = str(tmp_path / "atlasflow.toml")
    assert invoke("write", path).exit_code == 0
    assert isinstance(invoke("write", path).exception, UserError)
    assert invoke("write", path, "--force").exit_code == 0


def test_a_shell_is_offered_names_and_values() -> None:
    assert "train.epochs=" in list(completion.setting_values("train.e"))
    assert list(completion.setting_values("train.target=")) == ["train.target=local", "train.target=modelarts"]
    assert not any("secret" in name for name in completion.setting_values("obs."))
    assert list(completion.stages("e")) == ["evaluate", "export"]
    assert list(completion.boards("lap")) == ["laptop"]
    assert list(completion.profiles("")) == ["cloud", "local", "twin"]
