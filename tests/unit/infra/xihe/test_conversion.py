import json
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.settings import Settings, load
from infra.xihe import config as xihe
from infra.xihe.conversion import Imported, from_settings, to_settings
from tests.unit.infra.xihe.published import PUBLISHED

FIELDS = ("recipe", "epochs", "learning_rate", "batch_size")


def convert(config: xihe.Config, recipe: str = "resnet50-tutorial") -> Imported:
    return to_settings(config, recipe, FIELDS)


def loaded(config: xihe.Config, folder: Path) -> Settings:
    """Import a config by way of a profile."""
    path = folder / "x.toml"
    path.write_text(convert(config).profile())
    return load(str(path))


def test_the_settings_train_the_same_way(tmp_path: Path) -> None:
    imported = convert(xihe.read(PUBLISHED))
    settings = loaded(xihe.read(PUBLISHED), tmp_path)
    assert (settings.train.target, settings.train.recipe) == ("modelarts", "resnet50-tutorial")
    assert settings.train.overrides() == {"epochs": "5", "learning_rate": 0.01}
    assert settings.modelarts.flavor == "modelarts.p3.large.public"
    assert settings.modelarts.engine.startswith("mindspore_1.3.0")
    assert settings.modelarts.logs == "train/log"
    assert settings.modelarts.environment == {"A": "http://x//y, ]"}
    assert any("datasets/me/cifar10/" in note and "data.source" in note for note in imported.notes)
    assert imported.profile().startswith("# train.py of the repository is not run")


def test_a_round_trip_keeps_everything(tmp_path: Path) -> None:
    first = config = xihe.read(PUBLISHED)
    for _ in range(2):
        config = from_settings(loaded(config, tmp_path))
    assert [(item.name, item.value) for item in config.hypeparameters] == [
        ("recipe", "resnet50-tutorial"),
        ("epochs", "5"),
        ("lr", 0.01),
    ]
    assert config.model_copy(update={"hypeparameters": first.hypeparameters}) == first


def test_the_script_s_own_parameters_and_names_survive(tmp_path: Path) -> None:
    values = json.loads(xihe.read(PUBLISHED).text())
    values["hypeparameters"] += [{"name": "batch_nums", "value": 7}]
    values["inputs"][0]["name"], values["outputs"][0]["name"] = "data_path", "output_url"
    config = xihe.read(json.dumps(values))
    assert any(note.startswith("batch_nums: no field of a recipe") for note in convert(config).notes)
    settings = loaded(config, tmp_path)
    assert settings.train.overrides() == {"epochs": "5", "learning_rate": 0.01}
    changed = settings.model_copy(
        update={"train": settings.train.model_copy(update={"epochs": 9, "batch_size": 64, "learning_rate": 0.01})}
    )
    written = from_settings(changed)
    assert [(item.name, item.value) for item in written.hypeparameters] == [
        ("recipe", "resnet50-tutorial"),
        ("epochs", 9),
        ("lr", 0.01),
        ("batch_nums", 7),
        ("batch_size", 64),
    ]
    assert (written.inputs[0].name, written.outputs[0].name) == ("data_path", "output_url")


def test_an_old_engine_is_said_at_once() -> None:
    notes = convert(xihe.read(PUBLISHED)).notes
    assert any("MindSpore 1.3, where 2.0 is needed and Python 3.7, where 3.9 is needed" in note for note in notes)
    newer = xihe.read(PUBLISHED.replace("mindspore_1.3.0-cuda_10.1-py_3.7", "mindspore_2.3.0-cuda_10.1-py_3.9"))
    assert not any("engine" in note for note in convert(newer).notes)


@pytest.mark.parametrize(("name", "match"), [("glove_path", "unknown to a recipe"), ("data_path", "second one")])
def test_inputs_that_no_recipe_has_are_refused(name: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        convert(xihe.read(PUBLISHED.replace("pretrain_url", name)))


def test_aim_repo_is_kept_outside_of_the_recipe(tmp_path: Path) -> None:
    parameters = [{"name": "epochs", "value": 5}, {"name": "aim_repo", "value": "/cache/aim"}]
    published = json.loads(xihe.read(PUBLISHED).text())
    config = xihe.read(json.dumps({**published, "hypeparameters": parameters}))
    settings = loaded(config, tmp_path)
    assert settings.train.overrides() == {"epochs": 5}
    assert xihe.Parameter(name="aim_repo", value="/cache/aim") in from_settings(settings).hypeparameters
