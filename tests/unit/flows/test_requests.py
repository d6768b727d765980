"""The forms: what their schemas refuse before anything runs, and the names of flow runs."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from flows.maintenance import MaintenanceRequest
from flows.requests import (
    DemoteRequest,
    RetrainRequest,
    RunRequest,
    StageRequest,
    Target,
    TuneRequest,
    parse_request,
    run_name,
)
from flows.rollout import RolloutRequest
from infra.errors import UserError
from infra.store.runs import Runs

EVERY = (RunRequest, StageRequest, RetrainRequest, DemoteRequest, TuneRequest, RolloutRequest, MaintenanceRequest)
SCHEMA = Draft202012Validator(RunRequest.model_json_schema())
WRONG = [
    {"profile": "locl"},
    {"stages": ["trian"]},
    {"force": ["everything"]},
    {"settings": {"epochs": "3"}},
    {"settings": {"train.epochs": 3}},
    {"stage": ["train"]},
]


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_a_wrong_form_is_refused_by_its_schema_as_by_the_model(values: dict[str, Any]) -> None:
    assert list(SCHEMA.iter_errors(values))
    with pytest.raises(ValidationError):
        RunRequest.model_validate(values)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (RetrainRequest, {"seeds": (1, -1)}, r"seeds\.1: .*greater than or equal to 0"),
        (RunRequest, {"settings": {"boards.my shed.soc": "Ascend310"}}, r"settings\.boards\.my shed\.soc"),
        (TuneRequest, {"minutes": -5.0}, r"minutes: .*greater than 0"),
        (RolloutRequest, {"waves": ("two",)}, r"waves\.0: "),
    ],
)
def test_options_that_no_form_would_take_are_told_in_words(
    kind: type[Target], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        parse_request(kind, options)


def test_the_fields_of_a_training_are_settings() -> None:
    request = RunRequest(recipe="resnet50-tutorial", epochs=3, seed=7, settings={"obs.bucket": "b"})
    assert request.settings == {
        "obs.bucket": "b",
        "train.recipe": "resnet50-tutorial",
        "train.epochs": "3",
        "train.seed": "7",
    }
    assert RunRequest.model_validate_json(request.model_dump_json()) == request
    assert StageRequest(epochs=2, force=True).of("train").settings == {"train.epochs": "2"}
    with pytest.raises(ValidationError, match="epochs is 4 in the settings, and 3 in its field"):
        RunRequest(epochs=3, settings={"train.epochs": "4"})


def test_a_form_has_typed_fields_for_them() -> None:
    fields = RunRequest.model_json_schema()["properties"]
    assert {"type": "integer", "minimum": 1, "maximum": 10_000} in fields["epochs"]["anyOf"]
    assert fields["learning_rate"]["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0}


@pytest.mark.parametrize("profile", ["local", "twin", "cloud", "mine.toml", "/etc/atlasflow/lab.toml"])
def test_a_right_form_is_taken(profile: str) -> None:
    values = {"profile": profile, "settings": {"modelarts.stand_in.slots": "2"}, "stages": ["train"]}
    assert not list(SCHEMA.iter_errors(values))
    assert RunRequest.model_validate(values).profile == profile


def test_every_field_has_a_description_and_a_default() -> None:
    for kind in EVERY:
        fields = kind.model_json_schema()["properties"].values()
        assert all("description" in field and "default" in field for field in fields)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    "values",
    [
        {"profile": "nonsense"},
        {"settings": {"x y": "1"}},
        {"settings": {"obs.secret_key": "text-that-nobody-may-see"}},
        {"settings": {"notify.cloud_headers.X-Auth-Token": "text-that-nobody-may-see"}},
        {"settings": {"boards.laptop.password": "text-that-nobody-may-see"}},
        {"settings": {"data.source": "https://me:text-that-nobody-may-see@host/a.zip"}},
        {"settings": {"data.source": "https://host/a.zip?v=1&X-Amz-Signature=text-that-nobody-may-see"}},
    ],
    ids=str,
)
def test_no_form_takes_nonsense_or_a_secret(kind: type[Target], values: dict[str, Any]) -> None:
    assert list(Draft202012Validator(kind.model_json_schema()).iter_errors(values))
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(values)
    assert "nobody-may-see" not in str(caught.value)


def test_waves_are_numbers_or_shares() -> None:
    assert RolloutRequest(waves=("1", "12.5%")).waves == ("1", "12.5%")
    with pytest.raises(ValidationError):
        RolloutRequest(waves=("half",))


def test_a_stage_s_request_is_one_of_the_chain() -> None:
    request = StageRequest(profile="twin", settings={"train.epochs": "3"}, force=True).of("train")
    assert request == RunRequest(profile="twin", settings={"train.epochs": "3"}, stages=("train",), force=("train",))
    assert StageRequest().of("export").force == ()


def test_a_run_is_named_by_what_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path))
    assert run_name("train", RunRequest()) == "train lenet5-sample sample #1"
    runs = Runs(tmp_path)
    runs.save(runs.begin("local"))
    request = RunRequest(settings={"data.source": "obs://bucket/cifar.tar.gz", "train.recipe": "resnet20-paper"})
    assert run_name("all stages", request) == "all stages resnet20-paper cifar.tar.gz #2"
    assert run_name("train", RunRequest(settings={"trian.epochs": "3"})) == "train local"
    monkeypatch.setenv("ATLASFLOW_DATA__SOURCE", "https://me:word@host/x.tar.gz?X-Amz-Signature=abc")
    assert run_name("train", RunRequest()) == "train lenet5-sample x.tar.gz #2"
