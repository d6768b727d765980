"""The stand-in, asked by the official SDK and, where that cannot do wrong, by hand."""

import json
import os
import signal
import sys
import time
from urllib.parse import urlsplit

import huaweicloudsdkmodelarts.v1 as sdk
import psutil
import pytest

from infra.errors import UserError
from infra.modelarts import plan
from infra.modelarts.emulator import server
from infra.obs.client import connect as connect_obs
from infra.obs.emulator import seaweedfs as obs_emulator
from infra.ports.values import LocalFile
from infra.services import Services
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings, ObsSettings
from infra.store.digests import file_digest
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.jobs import PLACE, numbered, wait

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def test_a_job_runs_through_its_phases(tmp_path, store, body):
    options = ModelArtsStandInSettings(creating_seconds=0.3, queue_seconds=0.3, log_seconds=0)
    with doubles.stand_in(tmp_path, store, options) as (_, settings), doubles.client_for(settings) as client:
        job = client.submit(body())
        seen = [job.phase]
        while not job.final:
            job = client.show(job.id)
            seen += [job.phase] if job.phase != seen[-1] else []
        assert [phase for phase in seen if phase != "Running"] == ["Creating", "Pending", "Completed"]
        assert job.queued_ms >= 500
        assert "exit code 0" in " ".join(client.events(job.id))


def test_logs_come_late_first_as_204(tmp_path, store, body):
    options = ModelArtsStandInSettings(creating_seconds=0, queue_seconds=0, log_seconds=1)
    with doubles.stand_in(tmp_path / "p", store, options) as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body(pid_file=str(tmp_path / "pid"))).id
        wait(client, identity, "Running")
        assert client.preview(identity, "worker-0") is None
        deadline = time.monotonic() + 20
        while (preview := client.preview(identity, "worker-0")) is None:
            assert time.monotonic() < deadline
        assert preview.content.startswith("fake train")
        assert preview.total == len(preview.content)


def test_the_log_is_exported_linked_and_read_by_lines(asking, body, store):
    identity = asking.submit(body(epochs=3)).id
    wait(asking, identity, "Completed")
    key = f"af/logs/modelarts-job-{identity}-worker-0.log"
    whole = (store.folder / key).read_text()
    assert store.folder.joinpath(linked(asking.log_link(identity, "worker-0"))).read_text() == whole
    request = sdk.ShowTrainingJobLogsFromAomRequest(training_job_id=identity, task_id="worker-0", lines=2, order="asc")
    answer = asking.call("read lines", lambda client: client.show_training_job_logs_from_aom(request))
    assert answer.content.splitlines() == whole.splitlines()[:2]
    assert answer.end_line == "2"


def linked(address):
    """The key in a link of the bucket's."""
    return urlsplit(address).path.removeprefix("/bucket/")


def test_a_link_to_the_end_of_a_log_is_another_one(asking, body, store, monkeypatch):
    monkeypatch.setattr("infra.modelarts.emulator.api._PREVIEW_BYTES", 5)
    identity = asking.submit(body()).id
    wait(asking, identity, "Completed")
    whole = (store.folder / linked(asking.log_link(identity, "worker-0"))).read_bytes()
    assert len(whole) > 5

    def ask(kind):
        return asking.call(
            "link",
            lambda client: client.do_http_request(
                "GET",
                f"/v2/{{project_id}}/training-jobs/{identity}/tasks/worker-0/logs/url",
                header_params={"Content-Type": kind},
                response_type="ShowTrainingJobLogsPreviewResponse",
            ),
        )

    address = json.loads(ask("text/plain").raw_content)["obs_url"]
    assert (store.folder / linked(address)).read_bytes() == whole[-5:]
    with pytest.raises(UserError, match="content type"):
        ask("application/json")


def test_jobs_queue_for_slots(asking, body, tmp_path):
    first = asking.submit(body(pid_file=str(tmp_path / "pid"))).id
    wait(asking, first, "Running")
    second = asking.submit(body(attempt=2)).id
    assert wait(asking, second, "Pending").queued_ms is None
    time.sleep(0.3)
    assert asking.show(second).phase == "Pending"
    assert asking.stop(first).phase == "Terminating"
    wait(asking, first, "Terminated")
    wait(asking, second, "Completed")


def test_stopping_ends_the_whole_group_and_deleting_forgets(asking, body, tmp_path):
    identity = asking.submit(body(pid_file=str(tmp_path / "pid"))).id
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    script = psutil.Process(int((tmp_path / "pid").read_text()))
    asking.stop(identity)
    wait(asking, identity, "Terminated")
    assert not script.is_running()
    asking.delete(identity)
    deadline = time.monotonic() + 10
    while asking.find("atlasflow-", "0"):
        assert time.monotonic() < deadline
    assert not (asking.platform.book.folder / identity).exists()


def test_a_job_stuck_in_the_queue_can_be_stopped(tmp_path, store, body):
    stuck = doubles.stand_in(tmp_path, store, faults="stuck@modelarts.queue")
    with stuck as (_, settings), doubles.client_for(settings) as client:
        identity = client.submit(body()).id
        wait(client, identity, "Pending")
        time.sleep(0.3)
        assert client.show(identity).phase == "Pending"
        client.stop(identity)
        wait(client, identity, "Terminated")


def start_service(home):
    services = Services(home)
    services.start(obs_emulator.service(services, home))
    obs = obs_emulator.reach(ObsSettings(bucket="bucket"), services, home)
    made = server.service(services, home, obs, doubles.QUICK)
    services.start(made)
    return services, obs, made


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    services.stop(server.NAME)
    services.stop(obs_emulator.NAME)


def test_the_service_keeps_its_jobs_when_it_is_killed(home, fake_main, data, tmp_path, job):
    services, obs, made = start_service(home)
    assert "stand-in" in made.title
    secret = json.loads(made.environment["ATLASFLOW_MODELARTS_STAND_IN"])["secret_key"]
    assert not any(secret in word for word in made.command)
    assert secret not in repr(made)
    bucket = connect_obs(obs, emulated=True)
    bucket.ensure_bucket()
    for prefix, folder in (("af/code/1/models", fake_main.parent), ("af/data/1", data)):
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        bucket.sync(prefix, {name: LocalFile(p, file_digest(p), p.stat().st_size) for name, p in files.items()})
    chosen = ModelArtsSettings(engine="mindspore-stand-in-cpu", flavor="modelarts.vm.cpu.2u", poll_seconds=0.1)
    settings = server.reach(chosen, services, home)
    todo = job(pid_file=str(tmp_path / "pid"), sleep=600)
    made_body = plan.body(todo, numbered(1), settings, PLACE)
    with doubles.client_for(settings) as client:
        identity = client.submit(made_body).id
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        script = psutil.Process(int((tmp_path / "pid").read_text()))
        status = next(item for item in services.status() if item.name == server.NAME)
        assert status.memory < 200_000_000
        os.kill(status.pid, signal.SIGKILL)
        script.wait(20)  # it watches its standard input
        (tmp_path / "pid").unlink()
        start_service(home)
        assert wait(client, identity, "Running").name.endswith("-1")
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        script = psutil.Process(int((tmp_path / "pid").read_text()))
        began = time.monotonic()
        services.stop(server.NAME)
        assert time.monotonic() - began < 8
        assert not script.is_running()
    assert sys.executable in made.command
