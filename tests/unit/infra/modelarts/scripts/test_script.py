"""Own scripts as jobs: keys, names of versions, request bodies."""

from dataclasses import replace

import pytest

from infra.errors import UserError
from infra.modelarts.scripts.script import (
    Placed,
    Script,
    base_name,
    body,
    check,
    description,
    key_of,
    output_address,
    version,
    version_name,
)
from infra.settings import ModelArtsSettings

SETTINGS = ModelArtsSettings(engine="mindspore", flavor="ascend910")
SCRIPT = Script(
    "resnet50",
    Placed("obs://ms-course/experiment_3/", "c" * 64),
    "resnet50_train.py",
    Placed("obs://ms-course/experiment_3/cifar10/", "d" * 64),
    parameters=(("num_epochs", "3"),),
)
KEY = SCRIPT.key(SETTINGS)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SCRIPT, code=Placed(SCRIPT.code.address, "e" * 64)),
        replace(SCRIPT, boot="other.py"),
        replace(SCRIPT, data=None),
        replace(SCRIPT, output="obs://ms-course/output/"),
        replace(SCRIPT, parameters=(("num_epochs", "4"),)),
        replace(SCRIPT, image="swr/own:1"),
    ],
)
def test_everything_that_changes_the_output_changes_the_key(changed: Script) -> None:
    assert changed.key(SETTINGS) != KEY


def test_the_flavor_counts_and_name_log_and_limits_do_not() -> None:
    assert SCRIPT.key(SETTINGS.model_copy(update={"flavor": "cpu"})) != KEY
    assert replace(SCRIPT, name="x", log="obs://b/l/").key(SETTINGS.model_copy(update={"cost_cap": 1.0})) == KEY


@pytest.mark.parametrize(
    ("job", "number"), [("a-b", 1), ("a-b-V0002", 2), ("a-b-V12345", 12345), ("a-bc", 0), ("a", 0)]
)
def test_versions_of_a_name(job: str, number: int) -> None:
    assert version("a-b", job) == number
    if number:
        assert base_name(job) == "a-b"
        assert version_name("a-b", number) == job


def test_the_description_tells_the_key() -> None:
    assert key_of(description(KEY, "0123456789abcdef")) == KEY[:24]
    assert key_of("AtlasFlow, stage key " + "a" * 24 + ", installation 01") == ""


def test_the_form_of_the_tutorial() -> None:
    output, log = "obs://ms-course/experiment_3/output", "obs://ms-course/experiment_3/output/"
    found = body(SCRIPT, "resnet50", "text", SETTINGS, output, log)
    remote = {"obs": {"obs_url": "obs://ms-course/experiment_3/cifar10/"}}
    assert found["algorithm"] == {
        "code_dir": "obs://ms-course/experiment_3/",
        "boot_file": "obs://ms-course/experiment_3/resnet50_train.py",
        "engine": {"engine_id": "mindspore"},
        "inputs": [{"name": "data_url", "access_method": "parameter", "remote": remote}],
        "outputs": [
            {
                "name": "train_url",
                "access_method": "parameter",
                "remote": {"obs": {"obs_url": "obs://ms-course/experiment_3/output/"}},
            }
        ],
        "parameters": [{"name": "num_epochs", "value": "3"}],
        "environments": {},
    }
    spec = found["spec"]
    assert isinstance(spec, dict)
    assert spec["log_export_path"] == {"obs_url": log}


def test_an_image_gets_a_quoted_command() -> None:
    script = replace(SCRIPT, image="swr/own:1", parameters=(("note", "a b; rm"),))
    found = body(script, "resnet50", "text", SETTINGS, "obs://b/out/", "obs://b/log/")["algorithm"]
    assert isinstance(found, dict)
    assert found["engine"] == {"image_url": "swr/own:1"}
    assert found["command"] == (
        'python "${MA_JOB_DIR}"/experiment_3/resnet50_train.py --data_url="${data_url}" --train_url="${train_url}" '
        "'--note=a b; rm'"
    )
    assert {channel["access_method"] for channel in [*found["inputs"], *found["outputs"]]} == {"env"}


def test_a_script_that_names_its_own_output_gets_no_channel() -> None:
    own = replace(SCRIPT, parameters=(("train_url", "s3://b/out"),))
    assert output_address(own, KEY, "b", "p") == ""
    assert output_address(SCRIPT, KEY, "b", "p") == f"obs://b/p/jobs/{KEY[:24]}/output/"


@pytest.mark.parametrize(
    "wrong",
    [
        replace(SCRIPT, name="a b"),
        replace(SCRIPT, name="x" * 57),
        replace(SCRIPT, output="folder"),
        replace(SCRIPT, log="https://x"),
        replace(SCRIPT, parameters=(("data_url", "x"),)),
        replace(SCRIPT, parameters=(("a", "1"), ("a", "2"))),
    ],
)
def test_what_the_platform_would_refuse_is_refused_before(wrong: Script) -> None:
    with pytest.raises(UserError):
        check(wrong)


def test_engine_and_flavor_are_needed() -> None:
    for settings in (ModelArtsSettings(flavor="f"), ModelArtsSettings(engine="e")):
        with pytest.raises(UserError, match="is not set"):
            body(SCRIPT, "resnet50", "text", settings, "", "obs://b/log/")
