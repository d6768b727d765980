"""The rest of the training API, by the official SDK."""

from collections.abc import Callable
from typing import Any

import huaweicloudsdkmodelarts.v1 as sdk
import pytest

from infra.errors import AtlasFlowError, Refused, UserError
from infra.modelarts.client import ModelArts
from infra.modelarts.phases import Phase
from tests.unit.infra.modelarts.conftest import MakeBody, StandIn
from tests.unit.infra.modelarts.jobs import wait, wait_for_file

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.fixture
def call(client: ModelArts) -> Callable[[str, Any], Any]:
    """Make a call of the SDK: `call("show_training_quotas", request)`."""
    return lambda name, request: client.call(name, lambda found: getattr(found, name)(request))


def test_algorithms(call: Callable[[str, Any], Any], client: ModelArts, body: MakeBody) -> None:
    job = body()
    config = {name: job["algorithm"][name] for name in ("code_dir", "boot_file", "engine", "outputs")}
    made = call("create_algorithm", sdk.CreateAlgorithmRequest(body={"metadata": {"name": "a"}, "job_config": config}))
    identity = made.metadata.id
    assert call("list_algorithms", sdk.ListAlgorithmsRequest()).total == 1
    shown = call("show_algorithm_by_uuid", sdk.ShowAlgorithmByUuidRequest(algorithm_id=identity))
    assert shown.job_config.boot_file == config["boot_file"]
    job["algorithm"] = {"id": identity, "inputs": job["algorithm"]["inputs"]}
    assert client.configuration(client.submit(job).id).boot_file == config["boot_file"]
    with pytest.raises(Refused, match="2751"):
        call("create_algorithm", sdk.CreateAlgorithmRequest(body={"metadata": {"name": "a"}}))
    call("delete_algorithm", sdk.DeleteAlgorithmRequest(algorithm_id=identity))
    with pytest.raises(UserError, match="2755"):
        call("show_algorithm_by_uuid", sdk.ShowAlgorithmByUuidRequest(algorithm_id=identity))


def test_tags_tasks_stages_and_many_at_once(call: Callable[[str, Any], Any], client: ModelArts, body: MakeBody) -> None:
    first, second = client.submit(body(1)).id, client.submit(body(2)).id
    client.tag(first, {"team": "a", "stage": "train"})
    client.tag(second, {"team": "b"})
    tags = call("list_training_job_tags", sdk.ListTrainingJobTagsRequest())
    assert {tag.key for tag in tags.tags} == {"team", "stage"}
    shown = call("show_train_job_tags", sdk.ShowTrainJobTagsRequest(training_job_id=first))
    assert {tag.key: tag.value for tag in shown.tags} == {"team": "a", "stage": "train"}
    wait(client, first, Phase.COMPLETED)
    stages = call("list_training_job_stages", sdk.ListTrainingJobStagesRequest(training_job_id=first))
    assert stages.total_count == 1
    assert call("list_training_job_tasks", sdk.ListTrainingJobTasksRequest(training_job_id=first)).body
    assert call("show_training_quotas", sdk.ShowTrainingQuotasRequest()).quotas
    jobs = [{"kind": "job", "metadata": {"id": identity}} for identity in (first, second)]
    call("batch_delete_training_job", sdk.BatchDeleteTrainingJobRequest(body={"jobs": jobs}))


def test_a_custom_image_runs_its_command_with_its_folders(client: ModelArts, running: StandIn, body: MakeBody) -> None:
    job = body()
    job["algorithm"]["engine"] = {"image_url": "swr.example/org/mindspore:2.10"}
    del job["algorithm"]["boot_file"]
    for channel in (*job["algorithm"]["inputs"], *job["algorithm"]["outputs"]):
        channel["access_method"] = "env"
    job["algorithm"]["command"] = 'python -c "import sys; print(sys.version)" > "${train_url}/version.txt"'
    made = client.submit(job)
    assert wait(client, made.id, Phase.COMPLETED, Phase.FAILED).phase == Phase.COMPLETED
    key = f"{made.output.removeprefix('obs://bucket/')}version.txt"
    record = running.platform.book.get(made.id)
    stored = running.platform.container(record)._stores("bucket")
    assert wait_for_file(stored.folder / key).startswith("3.")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"algorithm": {"engine": {"image_url": "x/y:1"}}}, "2806"),
        ({"algorithm": {"command": "x"}}, "2806"),
        ({"algorithm": {"engine": {"image_url": "not an image"}, "command": "x"}}, "0104"),
        ({"spec": {"schedule_policy": {"priority": 1}}}, "0104"),
        ({"spec": {"schedule_policy": {"priority": 4}, "resource": {"pool_id": "pool-1"}}}, "0104"),
        ({"spec": {"volumes": [{"nfs": {"nfs_server_path": "s:/p", "local_path": "/x"}}]}}, "0104"),
        ({"spec": {"volumes": [{"obs": {"obs_path": "obs://b/p/", "local_path": "x"}}]}}, "0104"),
    ],
)
def test_what_the_platform_refuses(client: ModelArts, body: MakeBody, change: dict[str, Any], code: str) -> None:
    job = body()
    for section, values in change.items():
        for name, value in values.items():
            old = job[section].get(name)
            job[section][name] = {**old, **value} if name == "resource" else value
    with pytest.raises(AtlasFlowError, match=rf"ModelArts\.{code}"):
        client.submit(job)
