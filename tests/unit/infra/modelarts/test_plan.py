import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import UserError
from infra.modelarts import plan
from infra.modelarts.producer import producer
from infra.ports.training import TrainJob
from infra.ports.values import LocalFile
from infra.settings import ModelArtsSettings

KEY = "0123456789abcdef" * 4
PATHS = plan.JobPaths("bucket", "af")
SETTINGS = ModelArtsSettings(engine="e", flavor="f")
FIRST = plan.Attempt(1, PATHS.results(KEY), resume=False, installation="i")


def job(tmp_path: Path, **changes: Any) -> TrainJob:
    values: dict[str, Any] = {
        "data_address": "obs://other/data/1/",
        "code_address": "obs://bucket/af/code/1/models",
        **changes,
    }
    return TrainJob(KEY, tmp_path, {"epochs": 2, "network": "lenet5"}, tmp_path, **values)


def test_the_body_has_all_that_the_platform_needs(tmp_path: Path) -> None:
    body: dict[str, Any] = plan.body(job(tmp_path), FIRST, SETTINGS, PATHS)
    algorithm = body["algorithm"]
    assert body["metadata"]["name"] == "atlasflow-0123456789abcdef01234567-1"
    assert algorithm["code_dir"] == "obs://bucket/af/code/1/models/"
    assert algorithm["boot_file"] == "obs://bucket/af/code/1/models/main.py"
    assert [item["name"] for item in algorithm["inputs"]] == ["data_url"]
    assert algorithm["inputs"][0]["remote"]["obs"]["obs_url"] == "obs://other/data/1/"
    assert algorithm["outputs"][0]["name"] == "train_url"
    assert json.loads(algorithm["environments"]["ATLASFLOW_SPEC"]) == {"epochs": 2, "network": "lenet5"}
    assert body["spec"]["auto_stop"] == {"time_unit": "HOURS", "duration": 24}


def test_a_later_attempt_resumes_from_the_earlier_results(tmp_path: Path) -> None:
    attempts = (FIRST, replace(FIRST, number=2, resume=True))
    bodies: list[dict[str, Any]] = [plan.body(job(tmp_path), item, SETTINGS, PATHS) for item in attempts]
    first, second = (body["algorithm"] for body in bodies)
    resume = {item["name"]: item["remote"] for item in second["inputs"]}["resume_url"]
    assert resume == first["outputs"][0]["remote"] == second["outputs"][0]["remote"]


def test_a_pretrained_checkpoint_is_an_input_in_its_own_folder(tmp_path: Path) -> None:
    start = LocalFile(tmp_path / "start.ckpt", "c" * 64, 3)
    body: dict[str, Any] = plan.body(job(tmp_path, pretrained=start), FIRST, SETTINGS, PATHS)
    inputs = body["algorithm"]["inputs"]
    address = {item["name"]: item["remote"]["obs"]["obs_url"] for item in inputs}["pretrain_url"]
    assert address == f"obs://bucket/af/pretrained/{'c' * 24}/"


def test_parameters_are_passed_on_and_reserved_names_refused(tmp_path: Path) -> None:
    chosen = SETTINGS.model_copy(update={"parameters": {"lesson": "3", "note": "two words"}})
    body: dict[str, Any] = plan.body(job(tmp_path), FIRST, chosen, PATHS)
    assert body["algorithm"]["parameters"] == [
        {"name": "lesson", "value": "3"},
        {"name": "note", "value": "two words"},
    ]
    for name in ("data_url", "train_url", "resume_url", "pretrain_url", "spec"):
        reserved = SETTINGS.model_copy(update={"parameters": {name: "x"}})
        with pytest.raises(UserError, match=name):
            plan.body(job(tmp_path), FIRST, reserved, PATHS)


def test_the_description_names_the_installation() -> None:
    text = plan.description(KEY, "i")
    assert plan.is_of(text, "i")
    assert not plan.is_of(text, "j")
    assert not plan.is_of("", "i")


def test_names_fit_the_platform_and_can_be_parsed() -> None:
    name = plan.name(KEY, 12)
    assert len(name) <= 64
    assert plan.attempt_number(name) == 12
    assert plan.attempt_number("atlasflow-of-somebody-3") == 0
    assert plan.attempt_number("my-" + name) == 0


@pytest.mark.parametrize(
    ("settings", "changes", "match"),
    [
        (ModelArtsSettings(flavor="f"), {}, r"modelarts\.engine"),
        (ModelArtsSettings(engine="e"), {}, r"modelarts\.flavor"),
        (SETTINGS, {"data_address": ""}, "object storage"),
        (SETTINGS, {"code_address": ""}, "object storage"),
    ],
)
def test_missing_values_are_named(
    tmp_path: Path, settings: ModelArtsSettings, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(UserError, match=match):
        plan.body(job(tmp_path, **changes), FIRST, settings, PATHS)


DIGEST = f"sha256:{'ab' * 32}"


def with_settings(**changes: object) -> ModelArtsSettings:
    return ModelArtsSettings.model_validate({"engine": "e", "flavor": "f", **changes})


def test_a_custom_image_gets_a_command_with_its_folders_as_variables(tmp_path: Path) -> None:
    settings = with_settings(
        engine="", image="swr.example/o/n:1", image_digest=DIGEST, command="/opt/bin/python", parameters={"a": "b c"}
    )
    algorithm: Any = plan.body(job(tmp_path), replace(FIRST, resume=True), settings, PATHS)["algorithm"]
    assert algorithm["engine"] == {"image_url": "swr.example/o/n:1"}
    assert "boot_file" not in algorithm
    assert algorithm["command"] == (
        '/opt/bin/python "${MA_JOB_DIR}"/models/main.py --data_url="${data_url}" --resume_url="${resume_url}" '
        "--train_url=\"${train_url}\" '--a=b c'"
    )
    assert {item["access_method"] for item in (*algorithm["inputs"], *algorithm["outputs"])} == {"env"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": ""}, r"modelarts\.engine is not set"),
        ({"image": "o/n:1"}, "digest of the image"),
        ({"priority": 1}, "need a dedicated pool"),
        ({"preemptible": True}, "need a dedicated pool"),
    ],
)
def test_what_a_job_lacks_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan.body(job(tmp_path), FIRST, with_settings(**changes), PATHS)


def test_the_digest_of_an_image_is_in_the_producer() -> None:
    named = with_settings(image=f"o/n@{DIGEST}")
    other = with_settings(image="o/n:1", image_digest=DIGEST.replace("ab", "cd"))
    assert producer(named, emulated=False).version == DIGEST
    assert producer(named, emulated=False) != producer(other, emulated=False)
    assert producer(named, emulated=True) != producer(other, emulated=True)


def test_pool_priority_and_volumes(tmp_path: Path) -> None:
    settings = with_settings(
        pool_id="pool-1",
        priority=3,
        preemptible=True,
        volumes=[
            {"kind": "nfs", "source": "192.168.0.1:/share", "target": "/mnt/share", "read_only": True},
            {"kind": "obs", "source": "obs://b/p/", "target": "/mnt/p"},
        ],
    )
    spec: Any = plan.body(job(tmp_path), FIRST, settings, PATHS)["spec"]
    assert spec["resource"] == {"flavor_id": "f", "node_count": 1, "pool_id": "pool-1"}
    assert spec["schedule_policy"] == {"priority": 3, "preemptible": True}
    assert spec["volumes"] == [
        {"nfs": {"nfs_server_path": "192.168.0.1:/share", "local_path": "/mnt/share", "read_only": True}},
        {"obs": {"obs_path": "obs://b/p/", "local_path": "/mnt/p"}},
    ]
