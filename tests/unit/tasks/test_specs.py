import json
from pathlib import Path

import pytest

from infra.errors import UserError
from infra.settings import PROFILES, Settings, load
from tasks import specs


def settings(**values: str) -> Settings:
    return load(overrides={f"train.{name}": text for name, text in values.items()})


def test_a_recipe_has_every_field_as_a_json_value() -> None:
    values = specs.recipe_settings(settings())
    assert values["network"] == "lenet5"
    assert values["epochs"] == 30
    assert json.loads(json.dumps(values)) == values


def test_a_setting_changes_only_its_field() -> None:
    before, after = specs.recipe_settings(settings()), specs.recipe_settings(settings(epochs="3"))
    assert {name for name in before if before[name] != after[name]} == {"epochs"}


def test_environment_and_command_line_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    given = specs.recipe_settings(settings(epochs="3", momentum="0.8"))
    monkeypatch.setenv("ATLASFLOW_TRAIN__EPOCHS", "3")
    monkeypatch.setenv("ATLASFLOW_TRAIN__MOMENTUM", "0.8")
    assert specs.recipe_settings(load()) == given


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"epoch": "3"}, "epochs"),
        ({"recipe": "lenet"}, "lenet5"),
        ({"epochs": "many"}, "train.epochs"),
        ({"epochs": "-1"}, "train.epochs"),
    ],
)
def test_invalid_settings_are_named(values: dict[str, str], match: str) -> None:
    with pytest.raises(UserError, match=match):
        specs.train_spec(settings(**values))


def test_evaluation_depends_on_the_network_and_not_on_its_training() -> None:
    assert specs.network_settings(settings()) == specs.network_settings(settings(epochs="3", momentum="0.8"))
    assert specs.network_settings(settings()) != specs.network_settings(settings(normalisation="cifar10-bgr"))


def test_evaluation_depends_on_stem_and_width() -> None:
    asked = settings(recipe="resnet50-tutorial", stem="3x3", width="0.5")
    assert specs.network_settings(asked)["stem"] == "3x3"
    assert specs.network_settings(asked)["width"] == 0.5


def test_the_spec_file_has_the_network_fields(tmp_path: Path) -> None:
    path = specs.write_spec(settings(), tmp_path / "spec.json")
    assert json.loads(path.read_text()) == specs.network_settings(settings())


def test_the_image_shape_is_channels_height_width() -> None:
    assert specs.image_shape(settings()) == (3, 32, 32)


def test_only_the_code_of_the_chosen_network_counts() -> None:
    lenet, resnet = (specs.training_code(settings(recipe=name)) for name in ("lenet5-sample", "resnet50-board"))
    assert "models.networks.lenet" in lenet
    assert "models.networks.resnet" not in lenet
    assert "models.networks.resnet" in resnet


def test_training_evaluation_export_and_profile_depend_on_different_code() -> None:
    chosen = settings()
    functions = (specs.training_code, specs.evaluation_code, specs.export_code, specs.profile_code)
    assert len({function(chosen) for function in functions}) == 4


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_shipped_profile_names_an_existing_recipe(profile: str) -> None:
    assert specs.train_spec(load(profile)).epochs >= 1
