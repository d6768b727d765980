"""The stand-in through the official SDK."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import huaweicloudsdkmodelarts.v1 as sdk
import psutil
import pytest

from infra.errors import UserError
from infra.modelarts import plan
from infra.modelarts.client import ModelArts
from infra.modelarts.emulator import server
from infra.modelarts.phases import Phase
from infra.obs.client import connect as connect_obs
from infra.obs.emulator import seaweedfs as obs_emulator
from infra.services import Service, Services
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings, ObsSettings
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeBody, MakeJob, StandIn
from tests.unit.infra.modelarts.jobs import PATHS, numbered, wait, wait_for_file

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def test_a_job_runs_through_its_phases(tmp_path: Path, store: doubles.FolderStore, body: MakeBody) -> None:
    options = ModelArtsStandInSettings(creating_seconds=0.3, queue_seconds=0.3, log_seconds=0)
    with doubles.stand_in(tmp_path, store, options) as (_, settings), doubles.client_for(settings) as client:
        job = client.submit(body())
        seen = [job.phase]
        while not job.final:
            job = client.show(job.id)
            seen += [job.phase] if job.phase != seen[-1] else []
        assert [phase for phase in seen if phase != Phase.RUNNING] == [
            Phase.CREATING,
            Phase.PENDING,
            Phase.COMPLETED,
        ]
        assert job.queued_ms is not None
        assert job.queued_ms >= 500
        assert "exit code 0" in " ".join(client.events(job.id))


def test_logs_are_late_and_first_answered_with_204(tmp_path: Path, store: doubles.FolderStore, body: MakeBody) -> None:
    options = ModelArtsStandInSettings(creating_seconds=0, queue_seconds=0, log_seconds=1)
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body(pid_file=str(tmp_path / "pid"))).id
        wait(client, identity, Phase.RUNNING)
        assert client.preview(identity, "worker-0") is None
        deadline = time.monotonic() + 20
        while (preview := client.preview(identity, "worker-0")) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert preview.content.startswith("fake train")
        assert preview.total == len(preview.content)


def test_the_log_is_exported_linked_and_read_by_lines(
    client: ModelArts, body: MakeBody, store: doubles.FolderStore
) -> None:
    identity = client.submit(body(epochs=3)).id
    wait(client, identity, Phase.COMPLETED)
    key = f"af/logs/modelarts-job-{identity}-worker-0.log"
    whole = (store.folder / key).read_text()
    assert store.folder.joinpath(linked_key(client, identity)).read_text() == whole
    request = sdk.ShowTrainingJobLogsFromAomRequest(training_job_id=identity, task_id="worker-0", lines=2, order="asc")
    answer = client.call("read lines", lambda call: call.show_training_job_logs_from_aom(request))
    assert answer.content.splitlines() == whole.splitlines()[:2]
    assert answer.end_line == "2"


def key_of(url: str) -> str:
    """Return the object key in a link."""
    return urlsplit(url).path.removeprefix("/bucket/")


def linked_key(client: ModelArts, identity: str) -> str:
    """Return the object key of a job's linked log."""
    link = client.log_link(identity, "worker-0")
    assert link is not None
    return key_of(link)


@pytest.fixture
def short_previews(tmp_path: Path, store: doubles.FolderStore) -> Iterator[ModelArts]:
    """The client of a stand-in with log previews of 5 bytes."""
    with (
        doubles.stand_in(tmp_path / "p", store, preview_bytes=5) as (_, settings),
        doubles.client_for(settings) as client,
    ):
        yield client


def test_a_link_to_the_end_of_a_log_is_a_different_one(
    short_previews: ModelArts, body: MakeBody, store: doubles.FolderStore
) -> None:
    client = short_previews
    identity = client.submit(body()).id
    wait(client, identity, Phase.COMPLETED)
    whole = (store.folder / linked_key(client, identity)).read_bytes()
    assert len(whole) > 5

    def request_link(content_type: str) -> str:
        answer = client.call(
            "link",
            lambda call: call.do_http_request(
                "GET",
                f"/v2/{{project_id}}/training-jobs/{identity}/tasks/worker-0/logs/url",
                header_params={"Content-Type": content_type},
                response_type="ShowTrainingJobLogsPreviewResponse",
            ),
        )
        return str(json.loads(answer.raw_content)["obs_url"])

    assert (store.folder / key_of(request_link("text/plain"))).read_bytes() == whole[-5:]
    with pytest.raises(UserError, match="content type"):
        request_link("application/json")


def test_jobs_queue_for_slots(client: ModelArts, body: MakeBody, tmp_path: Path) -> None:
    first = client.submit(body(pid_file=str(tmp_path / "pid"))).id
    wait(client, first, Phase.RUNNING)
    second = client.submit(body(attempt=2)).id
    assert wait(client, second, Phase.PENDING).queued_ms is None
    time.sleep(0.3)
    assert client.show(second).phase == Phase.PENDING
    assert client.stop(first).phase == Phase.TERMINATING
    wait(client, first, Phase.TERMINATED)
    wait(client, second, Phase.COMPLETED)


def test_stopping_ends_the_whole_group_and_deleting_removes_the_job(
    running: StandIn, body: MakeBody, tmp_path: Path
) -> None:
    client = running.client
    identity = client.submit(body(pid_file=str(tmp_path / "pid"))).id
    script = psutil.Process(int(wait_for_file(tmp_path / "pid")))
    client.stop(identity)
    wait(client, identity, Phase.TERMINATED)
    assert not script.is_running()
    client.delete(identity)
    deadline = time.monotonic() + 10
    while client.find("atlasflow-", "0"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not (running.platform.book.folder / identity).exists()


def test_a_job_is_stopped_at_its_time_limit(running: StandIn, body: MakeBody, tmp_path: Path) -> None:
    identity = running.client.submit(body(pid_file=str(tmp_path / "pid"), slow_stop=0.3)).id
    wait_for_file(tmp_path / "pid")
    (record,) = running.platform.book.all()
    with running.platform.book.lock:
        assert record.started is not None
        record.started -= 24 * 3600
    wait(running.client, identity, Phase.TERMINATED)
    reports = [event for event in running.client.events(identity) if "time limit" in event]
    assert len(reports) == 1


def test_a_job_stuck_in_the_queue_can_be_stopped(tmp_path: Path, store: doubles.FolderStore, body: MakeBody) -> None:
    stuck = doubles.stand_in(tmp_path, store, faults="stuck@modelarts.queue")
    with stuck as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body()).id
        wait(client, identity, Phase.PENDING)
        time.sleep(0.3)
        assert client.show(identity).phase == Phase.PENDING
        client.stop(identity)
        wait(client, identity, Phase.TERMINATED)


def start_service(home: Path) -> tuple[Services, ObsSettings, Service]:
    services = Services(home)
    services.start(obs_emulator.service(services, home))
    obs = obs_emulator.reach(ObsSettings(bucket="bucket"), services, home)
    made = server.service(services, home, obs, doubles.QUICK)
    services.start(made)
    return services, obs, made


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    services.stop(server.NAME)
    services.stop(obs_emulator.NAME)


@pytest.mark.service
def test_jobs_survive_a_kill_of_the_service(
    home: Path, fake_main: Path, data: Path, tmp_path: Path, job: MakeJob
) -> None:
    services, obs, made = start_service(home)
    assert "stand-in" in made.title
    secret = json.loads(made.environment["ATLASFLOW_MODELARTS_STAND_IN"])["secret_key"]
    assert not any(secret in word for word in made.command)
    assert secret not in repr(made)
    bucket = connect_obs(obs, emulated=True)
    bucket.ensure_bucket()
    for prefix, folder in (("af/code/1/models", fake_main.parent), ("af/data/1", data)):
        bucket.sync(prefix, doubles.local_files(folder))
    chosen = ModelArtsSettings(engine="mindspore-stand-in-cpu", flavor="modelarts.vm.cpu.2u", poll_seconds=0.1)
    settings = server.reach(chosen, services, home)
    todo = job(pid_file=str(tmp_path / "pid"), sleep=600)
    made_body = plan.body(todo, numbered(1), settings, PATHS)
    with doubles.client_for(settings) as client:
        identity = client.submit(made_body).id
        script = psutil.Process(int(wait_for_file(tmp_path / "pid")))
        status = next(item for item in services.status() if item.name == server.NAME)
        assert status.memory is not None
        assert status.memory < 200_000_000
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        script.wait(20)  # it exits when its standard input closes
        (tmp_path / "pid").unlink()
        start_service(home)
        assert wait(client, identity, Phase.RUNNING).name.endswith("-1")
        script = psutil.Process(int(wait_for_file(tmp_path / "pid")))
        began = time.monotonic()
        services.stop(server.NAME)
        assert time.monotonic() - began < 8
        assert not script.is_running()
    assert sys.executable in made.command
