import json
from typing import Any

import pytest

from infra.errors import UserError
from infra.xihe import config as xihe
from tests.unit.infra.xihe.published import PUBLISHED


@pytest.fixture
def published() -> dict[str, Any]:
    """The published config as JSON values."""
    values: dict[str, Any] = json.loads(xihe.read(PUBLISHED).text())
    return values


def changed(published: dict[str, Any], **changes: object) -> str:
    return json.dumps({name: value for name, value in {**published, **changes}.items() if value is not None})


def test_comments_and_trailing_commas_are_ignored_outside_of_strings() -> None:
    config = xihe.read(PUBLISHED)
    assert config.env_variables == {"A": "http://x//y, ]"}
    assert [item.name for item in config.hypeparameters] == ["epochs", "lr"]
    assert config.job_description == 'a "first" try'


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"job_nam": "x"}, ["unknown field 'job_nam'"]),
        ({"job_name": None}, ["field 'job_name'"]),
        ({"SDK": "Other"}, ["field 'SDK'"]),
        ({"hyperparameters": []}, ["'hyperparameters' and 'hypeparameters' contradict"]),
        ({"boot_file": "../x.py"}, ["boot_file '../x.py'"]),
        ({"log_url": "/"}, ["log_url '/'"]),
        ({"outputs": [{"output_dir": "../../x", "name": "b"}]}, ["output_dir '../../x'"]),
        ({"train_instance_type": ""}, ["field 'train_instance_type'"]),
        ({"code_dir": "/train/"}, ["code_dir '/train/'"]),
        (
            {"hypeparameters": [{"name": "lr", "value": 1}, {"name": "base_lr", "value": 2}]},
            ["'lr' and 'base_lr' mean the same"],
        ),
        (
            {"hypeparameters": [{"name": "data_url", "value": "x"}], "outputs": [{"output_dir": "a", "name": "b"}] * 2},
            ["'data_url' is given twice", "several outputs"],
        ),
        ({"log_url": 3, "frameworks": {"framework_type": "MPI", "extra": 1}}, ["log_url", "frameworks.extra"]),
    ],
)
def test_every_invalid_field_is_named(published: dict[str, Any], changes: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        xihe.read(changed(published, **changes))
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"job_name": "a", "job_name": "b"}'])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        xihe.read(text)


def test_the_correct_spelling_is_accepted_too(published: dict[str, Any]) -> None:
    parameters = published.pop("hypeparameters")
    assert xihe.read(json.dumps({**published, "hyperparameters": parameters})) == xihe.read(PUBLISHED)


def test_numbers_among_the_variables_become_strings(published: dict[str, Any]) -> None:
    assert xihe.read(changed(published, env_variables={"A": 1})).env_variables == {"A": "1"}


def test_an_object_of_parameters_is_taken_as_a_list(published: dict[str, Any]) -> None:
    config = xihe.read(changed(published, hypeparameters={"epochs": "5", "lr": 0.01}))
    assert config == xihe.read(PUBLISHED)
    assert xihe.read(changed(published, hypeparameters={})).hypeparameters == ()
