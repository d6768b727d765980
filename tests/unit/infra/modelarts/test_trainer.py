"""The trainer with the stand-in: nothing is submitted twice, nothing is lost."""

import json
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError
from infra.home import CHECKOUT
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.emulator.request import read_request
from infra.modelarts.producer import producer
from infra.ports.training import JobStatus, LogLine, TrainEvent
from tests.unit.infra.local_training.doubles import Recorder, ignore
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeJob, OpenWorld

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


PROCESSES = multiprocessing.get_context("forkserver")  # its processes share one import of the SDK
PROCESSES.set_forkserver_preload(["tests.unit.infra.modelarts.doubles"])


def wait_until_final(platform: Platform) -> None:
    deadline = time.monotonic() + 30
    while not all(record.final for record in platform.book.all()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_results_events_and_log(open_world: OpenWorld, job: MakeJob) -> None:
    recorder, todo = Recorder(), job()
    with open_world() as world:
        world.trainer.train(todo, recorder)
        assert world.attempts == [1]
    assert recorder.epochs == [1, 2]
    assert recorder.has_status("Completed")
    assert json.loads((todo.folder / "history.json").read_text()) == {"epochs": 2}
    assert (todo.folder / "train.log").read_text().startswith("fake train\n")


def test_another_machine_adopts_a_finished_job(open_world: OpenWorld, job: MakeJob, tmp_path: Path) -> None:
    recorder, todo = Recorder(), job()
    with open_world() as world:
        world.trainer.train(todo, ignore)
        (tmp_path / "intents" / f"{todo.key}.json").unlink()
        (todo.folder / "history.json").unlink()
        world.trainer.train(todo, recorder)
        assert world.attempts == [1]
    assert (todo.folder / "history.json").exists()
    assert "adopting" in recorder.status[0]


def test_a_finished_job_is_not_adopted_when_a_new_training_is_requested(open_world: OpenWorld, job: MakeJob) -> None:
    todo = job()
    with open_world() as world:
        world.trainer.train(todo, ignore)
        world.trainer.train(replace(todo, again=True), ignore)
        assert world.attempts == [1, 2]
        inputs = [channel.name for channel in world.platform.book.all()[-1].request.inputs]
        assert inputs == ["data_url"], "it starts anew"
        world.trainer.train(todo, ignore)
        assert world.attempts == [1, 2]


@pytest.mark.parametrize("point", ["train.job.submitted", "train.job.poll", "train.job.fetch"])
def test_a_forced_training_that_broke_is_resumed_and_not_billed_twice(
    open_world: OpenWorld, job: MakeJob, point: str
) -> None:
    """A forced job ends without a watcher; the retry is forced as well."""
    forced = replace(job(), again=True)
    with open_world() as world:
        world.trainer.train(job(), ignore)
        with pytest.raises(Transient):
            world.another_trainer(f"error@{point}").train(forced, ignore)
        wait_until_final(world.platform)
        world.trainer.train(forced, ignore)
        assert world.attempts == [1, 2]
        intent = world.trainer.ledger.read(forced.key)
        assert intent is not None
        assert intent.settled
        world.trainer.train(forced, ignore)
        assert world.attempts == [1, 2, 3], "requested once more, after the end was reported"


def test_a_forced_training_uses_no_earlier_results(open_world: OpenWorld, job: MakeJob) -> None:
    todo = job(epochs=3)
    with open_world() as world:
        world.trainer.train(todo, ignore)
        for path in todo.folder.iterdir():
            path.unlink()
        world.trainer.train(replace(job(epochs=1), again=True), ignore)
        assert sorted(path.name for path in todo.folder.glob("*.ckpt")) == ["epoch-1.ckpt"]


def test_a_finished_job_without_results_is_run_again(
    open_world: OpenWorld, job: MakeJob, store: doubles.FolderStore
) -> None:
    todo = job()
    with open_world() as world:
        world.trainer.train(todo, ignore)
        store.delete([key for key, _ in store.list("af/jobs/")])
        world.trainer.train(todo, ignore)
        assert world.attempts == [1, 2]


@pytest.mark.parametrize(
    ("spec", "error_class", "match"),
    [
        ({"error": {"kind": "user", "message": "bad label", "hint": "look"}, "exit": 2}, UserError, "bad label"),
        ({"exit": 5}, Transient, "about to end"),
        ({"exit": 6}, Corrupt, "about to end"),
        ({"exit": 1}, AtlasFlowError, "code 1"),
        ({"signal": signal.SIGTERM}, Transient, "SIGTERM"),
        ({"signal": signal.SIGKILL}, Refused, "ran out of memory"),
    ],
)
def test_failures_of_the_training_have_the_right_class(
    open_world: OpenWorld, job: MakeJob, spec: dict[str, Any], error_class: type[AtlasFlowError], match: str
) -> None:
    with open_world() as world, pytest.raises(AtlasFlowError, match=match) as caught:
        world.trainer.train(job(**spec), ignore)
    assert type(caught.value) is error_class


def test_a_failed_training_resumes_in_a_second_attempt(open_world: OpenWorld, job: MakeJob) -> None:
    recorder = Recorder()
    with open_world() as world:
        with pytest.raises(Transient):
            world.trainer.train(job(epochs=3, break_after=1), ignore)
        world.trainer.train(job(epochs=3), recorder)
        assert world.attempts == [1, 2]
    assert recorder.epochs == [2, 3]


@pytest.mark.parametrize(
    ("fault", "error_class", "match"),
    [
        ("lost@modelarts.run", Transient, "lost by the platform"),
        ("fail@modelarts.run", AtlasFlowError, "code 1"),
        ("memory@modelarts.run", Refused, "ran out of memory"),
    ],
)
def test_faults_of_the_platform_have_the_right_class_and_the_next_call_succeeds(
    open_world: OpenWorld, job: MakeJob, fault: str, error_class: type[AtlasFlowError], match: str
) -> None:
    with open_world(faults=fault) as world:
        with pytest.raises(error_class, match=match):
            world.trainer.train(job(), ignore)
        world.trainer.train(job(), ignore)
        assert world.attempts == [1, 2]


def test_a_pre_empted_job_is_watched_through_its_restart(open_world: OpenWorld, job: MakeJob) -> None:
    recorder = Recorder()
    with open_world(faults="preempt@modelarts.run") as world:
        world.trainer.train(job(), recorder)
        (record,) = world.platform.book.all()
    assert [run.start_type for run in record.runs] == ["init_or_rescheduled", "restarted"]
    assert recorder.has_status("Completed")


def test_a_silent_platform_is_an_error_with_the_hint_that_the_job_goes_on(open_world: OpenWorld, job: MakeJob) -> None:
    faults = ",".join(f"broken@modelarts.show#{visit}" for visit in range(1, 6))
    with open_world(faults=faults) as world:
        with pytest.raises(Transient) as caught:
            world.trainer.train(job(), ignore)
        assert "goes on" in caught.value.hint
        world.trainer.train(job(), ignore)
        assert world.attempts == [1]


def test_the_error_of_an_unwatched_job_is_reported_once(open_world: OpenWorld, job: MakeJob) -> None:
    todo = job(exit=2)
    with open_world(trainer_faults="error@train.job.submitted") as world:
        with pytest.raises(Transient):
            world.trainer.train(todo, ignore)
        with pytest.raises(UserError, match="about to end"):
            world.trainer.train(todo, ignore)
        assert world.attempts == [1]
        with pytest.raises(UserError):
            world.trainer.train(todo, ignore)
        assert world.attempts == [1, 2]


def test_jobs_at_once_limits_the_jobs(open_world: OpenWorld, job: MakeJob, tmp_path: Path) -> None:
    started = threading.Event()
    recorder = Recorder()
    options = doubles.QUICK.model_copy(update={"slots": 2})
    with open_world(options=options, jobs_at_once=1) as world:

        def on_first_event(event: TrainEvent) -> None:
            if event == LogLine("fake train"):
                started.set()

        endless = job(key="cd" * 32, pid_file=str(tmp_path / "pid"))

        def train_endless() -> None:
            with pytest.raises(Refused):
                world.trainer.train(endless, on_first_event)

        first = threading.Thread(target=train_endless)
        first.start()
        assert started.wait(30)

        def on_second_event(event: TrainEvent) -> None:
            recorder(event)
            if isinstance(event, JobStatus) and "waiting, as" in event.text:
                world.platform.stop(world.platform.book.all()[0])

        world.trainer.train(job(), on_second_event)
        first.join()
    assert "jobs_at_once is 1" in recorder.status[0]
    assert recorder.epochs == [1, 2]


def test_the_cost_cap_refuses_before_submission(open_world: OpenWorld, job: MakeJob) -> None:
    with open_world(prices={"modelarts.vm.cpu.2u": 5.0}, cost_cap=100.0) as world:
        with pytest.raises(UserError, match="cost_cap"):
            world.trainer.train(job(), ignore)
        assert world.attempts == []


def test_the_maximum_cost_is_reported(open_world: OpenWorld, job: MakeJob) -> None:
    recorder = Recorder()
    with open_world(prices={"modelarts.vm.cpu.2u": 5.0}, cost_cap=120.0) as world:
        world.trainer.train(job(), recorder)
    assert recorder.has_status("at most 120.00")


def test_a_job_of_another_bucket_is_not_adopted(open_world: OpenWorld, job: MakeJob) -> None:
    todo = job()
    with open_world() as world:
        world.trainer.train(todo, ignore)
        record = world.platform.book.all()[0]
        text = json.dumps(record.request.document).replace("obs://bucket/af/jobs", "obs://elsewhere/af/jobs")
        record.request = read_request(json.loads(text))
        with pytest.raises(UserError, match="elsewhere"):
            world.trainer.train(todo, ignore)


def test_a_job_is_found_by_its_name_or_id(open_world: OpenWorld, job: MakeJob) -> None:
    with open_world() as world:
        world.trainer.train(job(), ignore)
        (found,) = world.trainer.jobs()
        assert world.trainer.job(found.name) == world.trainer.job(found.id) == found
        with pytest.raises(UserError, match="no training job 'absent'"):
            world.trainer.job("absent")


def test_no_key_is_printed_or_stored(
    open_world: OpenWorld, job: MakeJob, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_world() as world:
        world.trainer.train(job(), print)
    printed = capfd.readouterr()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    secret = doubles.ACCOUNT.secret_key
    assert secret not in printed.out + printed.err
    assert secret.encode() not in stored


@pytest.mark.parametrize(
    ("point", "again", "resumed"),
    [
        ("train.job.intent", False, ["submitted"]),
        ("train.job.submit", False, ["submitted"]),
        ("train.job.submitted", False, ["re-attached", "adopting"]),
        ("train.job.poll", False, ["re-attached", "adopting"]),
        ("train.job.fetch", False, ["adopting"]),
        ("train.job.fetch", True, ["adopting"]),
    ],
)
def test_a_killed_client_does_not_cost_a_second_job(
    open_world: OpenWorld, job: MakeJob, tmp_path: Path, point: str, again: bool, resumed: list[str]
) -> None:
    recorder, todo = Recorder(), replace(job(), again=again)
    with open_world() as world:
        port = int(world.settings.endpoint.rpartition(":")[2])
        arguments = (port, world.store.folder.parent, tmp_path, todo, point)
        process = PROCESSES.Process(target=doubles.train_until_killed, args=arguments)
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        world.trainer.train(todo, recorder)
        assert world.attempts == [1]
    assert any(recorder.has_status(part) for part in resumed)
    assert (todo.folder / "history.json").exists()


def test_the_producer_tells_stand_in_and_platform_apart() -> None:
    settings = doubles.settings_for(1)
    real, emulated = producer(settings, emulated=False), producer(settings, emulated=True)
    assert (real.name, real.emulated) == ("modelarts", False)
    assert (emulated.name, emulated.emulated) == ("modelarts-stand-in", True)
    assert emulated == producer(settings, emulated=True)
    other = settings.model_copy(update={"engine": "another"})
    assert producer(other, emulated=False) != real


def test_the_producer_imports_neither_sdk_nor_mindspore() -> None:
    code = (
        "import sys; from infra.modelarts.producer import producer; from infra.settings import ModelArtsSettings;"
        "producer(ModelArtsSettings(), emulated=True);"
        "sys.exit(any(name.startswith(('huaweicloud', 'mindspore')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0
