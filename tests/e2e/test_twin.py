"""The rehearsal of the cloud: its chain and its commands against the stand-ins, through the installed command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CHECKOUT, assert_nothing_runs, install
from tests.e2e.installation import PYTHON, STAGES

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]

TWIN = ("--profile", "twin")
CONFIG = """{
    "SDK": "ModelArts",
    "code_dir": "train/lenet/", // relative to the repository
    "boot_file": "train.py",
    "outputs": [{"output_dir": "train/output/", "name": "output_path"}],
    "hypeparameters": [{"name": "epochs", "value": "5"},],
    "frameworks": {"framework_type": "MPI", "framework_version": "mindspore_2.3.0-cann_8.0.rc1"},
    "train_instance_type": "modelarts.p3.large.public",
    "log_url": "train/log/",
    "env_variables": {},
    "job_description": "a first try",
    "job_name": "lenet",
    "inputs": [{"input_url": "datasets/me/cifar10/", "name": "data_url"}]
}"""


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, small_archive: Any) -> Iterator[Any]:
    """A home whose chain was run on the stand-ins of the cloud."""
    notebook = {
        "ATLASFLOW_MODELARTS__NOTEBOOK__IMAGE": "00000000-0000-4000-8000-000000000001",
        "ATLASFLOW_MODELARTS__STAND_IN__JUPYTER": "false",  # tests/e2e/test_tutorials.py opens one
    }
    installation = install(tmp_path_factory.mktemp("twin"), small_archive, **notebook)
    said = installation.atlasflow("run", *TWIN)
    yield installation, said
    installation.atlasflow("down")
    assert_nothing_runs(installation)


def rows(text: Any) -> Any:
    return json.loads(text)


def test_the_whole_chain_runs_and_says_what_stands_in(twin: Any) -> None:
    home, said = twin
    assert "submitted the ModelArts job atlasflow-" in said
    status = rows(home.atlasflow("status", *TWIN, "--json"))
    assert {item["stage"]: item["state"] for item in status} == dict.fromkeys(STAGES, "fresh")
    emulated = {item["stage"] for item in status if item["emulated"]}
    assert {"train", "evaluate", "export", "convert", "publish", "deploy"} <= emulated
    assert "Everything is fresh" in home.atlasflow("run", *TWIN)


# What is taken from the client, the command that then fails, and what OBS says (docs/reference/obs.md §2.1 to §2.3).
BROKEN = {
    "virtual hosts": ({"s3": None}, "upload", "must be part of the host name"),
    "no trailers": ({"request_checksum_calculation": None}, "upload", "NotImplemented"),
    "no checksums of answers": ({"response_checksum_validation": None}, "convert", "NotImplemented"),
}


def test_without_any_one_setting_of_the_client_the_chain_stops(twin: Any) -> None:
    home, _ = twin
    objects = json.loads(home.output("publish", "published", *TWIN).read_text())["objects"]
    (model,) = (key for key in objects if key.endswith("/model.air"))
    # An empty place in the bucket, so that `upload` has something to send, and a model in it that `convert` must fetch.
    asked = {}
    for number, (name, (config, stage, _)) in enumerate(({"as it is": ({}, "upload", "")} | BROKEN).items()):
        given = ["--set", f"obs.prefix=broken-{number}"]
        if stage == "convert":
            given = ["--set", f"convert.model=obs://atlasflow/{model}"]
        asked[name] = {"config": config, "arguments": ["run", *TWIN, "--stage", stage, "--force", stage, *given]}
    remove = ["obs", "remove", "obs://atlasflow/broken-0/", "--recursive", *TWIN]
    asked["content md5"] = {"config": {"content_md5": None}, "arguments": remove}
    found = json.loads(home.start([PYTHON, "-m", "tests.e2e.broken_client", json.dumps(asked)], CHECKOUT).stdout)
    assert found["as it is"][0] == 0, found["as it is"][1]
    for name, (_, _, message) in BROKEN.items():
        assert (found[name][0], message in found[name][1]) == (4, True), (name, found[name])
    assert found["content md5"][0] == 4
    assert "Content-MD5" in found["content md5"][1]


def test_jobs_are_listed_shown_and_deleted(twin: Any) -> None:
    home, _ = twin
    (job,) = rows(home.atlasflow("jobs", "list", *TWIN, "--json"))
    assert job["phase"] == "Completed"
    assert job["name"] in home.atlasflow("jobs", "list", *TWIN)
    shown = rows(home.atlasflow("jobs", "show", job["name"], *TWIN, "--json"))
    assert shown["id"] == job["id"]
    assert shown["events"]
    assert "epoch: 2 step" in home.atlasflow("jobs", "logs", job["id"], *TWIN)
    assert home.atlasflow("jobs", "logs", job["id"], "--link", *TWIN).startswith("http")
    metrics = rows(home.atlasflow("jobs", "metrics", job["name"], *TWIN, "--json"))
    assert "cpuUsage" in metrics["worker-0"]
    assert rows(home.atlasflow("jobs", "orphans", *TWIN, "--json")) == []
    assert "has ended already" in home.atlasflow("jobs", "stop", job["name"], *TWIN, code=2)
    assert "no training job 'nobody'" in home.atlasflow("jobs", "show", "nobody", *TWIN, code=2)


def test_maintenance_finds_nothing_to_do(twin: Any) -> None:
    home, _ = twin
    found = {item["chore"]: item for item in rows(home.atlasflow("maintenance", *TWIN, "--json"))}
    assert not any(item["failed"] for item in found.values())
    assert found["unfinished uploads"]["found"] == "0 aborted"
    assert found["orphan jobs"]["found"] == "0 found"
    assert "Everything is fresh" in home.atlasflow("run", *TWIN)


def test_a_notebook_s_life(twin: Any) -> None:
    home, _ = twin
    (made,) = rows(home.atlasflow("notebook", "create", "lesson-1", *TWIN, "--json"))
    assert (made["name"], made["status"]) == ("lesson-1", "RUNNING")
    assert rows(home.atlasflow("notebook", "stop", "lesson-1", *TWIN, "--json"))[0]["status"] == "STOPPED"
    assert rows(home.atlasflow("notebook", "start", made["id"], *TWIN, "--json"))[0]["status"] == "RUNNING"
    assert [item["name"] for item in rows(home.atlasflow("notebook", "list", *TWIN, "--json"))] == ["lesson-1"]
    assert "lesson-1: deleted" in home.atlasflow("notebook", "delete", "lesson-1", *TWIN)
    assert rows(home.atlasflow("notebook", "list", *TWIN, "--json")) == []
    assert "there are: none" in home.atlasflow("notebook", "stop", "lesson-1", *TWIN, code=2)


def test_a_xihe_project_comes_and_goes(twin: Any, tmp_path: Path) -> None:
    home, _ = twin
    config, profile, project = tmp_path / "config.json", tmp_path / "mine.toml", tmp_path / "project"
    config.write_text(CONFIG)
    home.atlasflow("import", "xihe", config, "--recipe", "lenet5-tutorial", "--output", profile)
    assert "files written" in home.atlasflow(
        "export", "xihe", project, "--profile", profile, ATLASFLOW_TRAIN__EPOCHS="5"
    )
    written = json.loads((project / "train" / "config.json").read_text())
    assert written["job_name"] == "lenet"
    assert {"name": "epochs", "value": "5"} in written["hypeparameters"]
    assert {"name": "aim_repo", "value": "./db"} in rows((project / "train" / "config_aim.json").read_text())[
        "hypeparameters"
    ]
    assert (project / "inference" / "app.py").is_file()
    config.write_text(CONFIG.replace('"job_name"', '"job_nam"'))
    assert "unknown field 'job_nam'" in home.atlasflow("import", "xihe", config, code=2)
    assert "is not empty" in home.atlasflow("export", "xihe", project, "--profile", profile, code=2)
