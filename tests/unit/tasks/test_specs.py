import json

import pytest

from infra.errors import UserError
from infra.settings import PROFILES, load
from tasks import specs


def settings(**values):
    return load(overrides={f"train.{name}": text for name, text in values.items()})


def test_the_recipe_gives_every_field_as_plain_values():
    values = specs.recipe_settings(settings())
    assert values["network"] == "lenet5"
    assert values["epochs"] == 30
    assert json.loads(json.dumps(values)) == values


def test_a_setting_changes_its_field_alone():
    before, after = specs.recipe_settings(settings()), specs.recipe_settings(settings(epochs="3"))
    assert {name for name in before if before[name] != after[name]} == {"epochs"}


def test_text_from_the_environment_means_the_same_as_a_number_from_the_command_line(monkeypatch):
    given = specs.recipe_settings(settings(epochs="3", momentum="0.8"))
    monkeypatch.setenv("ATLASFLOW_TRAIN__EPOCHS", "3")
    monkeypatch.setenv("ATLASFLOW_TRAIN__MOMENTUM", "0.8")
    assert specs.recipe_settings(load()) == given


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": "3"}, "epochs"),
        ({"recipe": "lenet"}, "lenet5"),
        ({"epochs": "many"}, "train.epochs"),
        ({"epochs": "-1"}, "train.epochs"),
    ],
)
def test_what_cannot_work_is_named(values, words):
    with pytest.raises(UserError, match=words):
        specs.recipe_settings(settings(**values))


def test_evaluation_depends_on_the_network_and_not_on_how_it_was_trained():
    assert specs.network_settings(settings()) == specs.network_settings(settings(epochs="3", momentum="0.8"))
    assert specs.network_settings(settings()) != specs.network_settings(settings(normalisation="cifar10-bgr"))


def test_evaluation_builds_the_network_in_the_shape_that_was_trained():
    asked = settings(recipe="resnet50-tutorial", stem="3x3", width="0.5")
    assert specs.network_settings(asked)["stem"] == "3x3"
    assert specs.network_settings(asked)["width"] == 0.5


def test_the_spec_file_holds_the_network_and_its_shape_is_the_images(tmp_path):
    path = specs.write_spec(settings(), tmp_path / "spec.json")
    assert json.loads(path.read_text()) == specs.network_settings(settings())
    assert specs.image_shape(settings()) == (3, 32, 32)


def test_only_the_code_of_the_chosen_network_counts():
    lenet, resnet = (specs.training_code(settings(recipe=name)) for name in ("lenet5-sample", "resnet50-board"))
    assert "models.networks.lenet" in lenet
    assert "models.networks.resnet" not in lenet
    assert "models.networks.resnet" in resnet


def test_training_evaluation_and_export_rest_on_different_code():
    chosen = settings()
    codes = [function(chosen) for function in (specs.training_code, specs.evaluation_code, specs.export_code)]
    assert len({tuple(code) for code in codes}) == 3


@pytest.mark.parametrize("profile", sorted(path.stem for path in PROFILES.glob("*.toml")))
def test_every_shipped_profile_names_a_recipe_that_is_there(profile):
    assert specs.recipe_settings(load(profile))["epochs"] >= 1
