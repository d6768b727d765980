import dataclasses
import json
from typing import Any

import pytest

from models.failures import SpecError
from models.preprocess import PRESETS
from models.spec.train_spec import CHOICES, FIELDS, NORMALISATIONS, TrainSpec, from_json, to_json, with_fields


def test_json_is_canonical_and_comes_back() -> None:
    spec = with_fields(TrainSpec(), {"schedule": "stage", "milestones": "10,20", "nesterov": "true"})
    assert from_json(to_json(spec)) == spec
    assert to_json(spec) == json.dumps(json.loads(to_json(spec)), sort_keys=True, separators=(",", ":"))


def test_every_field_is_in_the_json() -> None:
    assert set(json.loads(to_json(TrainSpec()))) == {field.name for field in dataclasses.fields(TrainSpec)}


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("epochs", "3", 3),
        ("epochs", 3.0, 3),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", 1, 1.0),
        ("flip", "no", False),
        ("flip", True, True),
        ("network", "anything", "anything"),
    ],
)
def test_values_get_their_field_s_type(name: str, value: Any, read: Any) -> None:
    result = getattr(with_fields(TrainSpec(), {name: value}), name)
    assert result == read
    assert type(result) is type(read)


@pytest.mark.parametrize(
    ("values", "field", "hint"),
    [
        ({"epoch": 3}, "epoch", "epochs"),
        ({"optimiser": "adam"}, "optimiser", "optimizer"),
        ({"epochs": "three"}, "epochs", "a whole number"),
        ({"epochs": 2.5}, "epochs", "a whole number"),
        ({"epochs": True}, "epochs", "a whole number"),
        ({"epochs": 0}, "epochs", "30"),
        ({"epochs": 1e400}, "epochs", "a whole number"),
        ({"milestones": [1e400]}, "milestones", "whole numbers"),
        ({"learning_rate": 10**400}, "learning_rate", "a number"),
        ({"flip": "maybe"}, "flip", "true or false"),
        ({"learning_rate": "nan"}, "learning_rate", "a number"),
        ({"learning_rate": None}, "learning_rate", "a number"),
        ({"network": 5}, "network", ""),
        ({"optimizer": "momentun"}, "optimizer", "momentum"),
        ({"schedule": "cosinus"}, "schedule", "cosine"),
        ({"normalisation": "cifar"}, "normalisation", "cifar10"),
        ({"warmup_epochs": 30}, "warmup_epochs", "epochs"),
        ({"warmup_rate": 0.5}, "warmup_rate", ""),
        ({"schedule": "stage"}, "milestones", "30,60"),
        ({"milestones": "5"}, "milestones", "30,60"),
        ({"schedule": "stage", "milestones": "20,10"}, "milestones", ""),
        ({"schedule": "stage", "milestones": "10,30"}, "milestones", "epochs"),
        ({"schedule": "one-cycle", "warmup_epochs": 2}, "warmup_epochs", "0"),
        ({"optimizer": "adam", "nesterov": True}, "nesterov", "momentum"),
        ({"classes": 1001}, "classes", ""),
        ({"mode": "eager"}, "mode", "graph"),
        ({"precision": "float16"}, "precision", "bfloat16"),
        ({"mode": "pynative", "sink": True}, "sink", "graph"),
    ],
)
def test_an_invalid_value_is_refused_with_the_name_of_its_field(values: Any, field: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        with_fields(TrainSpec(), values)
    assert caught.value.message.startswith(f"{field}: ")
    assert hint in caught.value.hint
    assert (caught.value.kind, caught.value.exit_code) == ("user", 2)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_a_value_that_is_not_an_object_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="specification"):
        from_json(text)


def test_the_normalisations_are_those_of_preprocess() -> None:
    assert set(NORMALISATIONS) == {*PRESETS, "measured"}


def test_choices_name_fields() -> None:
    assert set(CHOICES) <= set(FIELDS)
