"""The trainer against the stand-in: nothing is submitted twice, nothing is lost."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient, UserError
from infra.home import CHECKOUT
from infra.local_training import protocol
from infra.modelarts.trainer import producer
from tests.unit.infra.modelarts import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


def epochs(lines):
    return [event["epoch"] for event in filter(None, map(protocol.event, lines)) if event["event"] == "epoch"]


def names(platform):
    return [record.name[-2:] for record in platform.book.all()]


def wait_for_the_end(platform):
    deadline = time.monotonic() + 30
    while not all(record.final for record in platform.book.all()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_results_lines_and_log(world, job):
    lines = []
    todo = job()
    with world() as (trainer, platform):
        trainer.train(todo, lines.append)
        assert names(platform) == ["-1"]
    assert epochs(lines) == [1, 2]
    assert json.loads((todo.folder / "history.json").read_text()) == {"epochs": 2}
    assert (todo.folder / "train.log").read_text().startswith("fake train\n")
    assert any("Completed" in line for line in lines)


def test_a_finished_job_is_adopted_by_another_machine(world, job, tmp_path):
    todo = job()
    with world() as (trainer, platform):
        trainer.train(todo, print)
        (tmp_path / "intents" / f"{todo.key}.json").unlink()
        (todo.folder / "history.json").unlink()
        lines = []
        trainer.train(todo, lines.append)
        assert names(platform) == ["-1"]
    assert (todo.folder / "history.json").exists()
    assert "adopting" in lines[0]


def test_a_finished_job_is_not_adopted_when_a_new_one_is_asked_for(world, job):
    todo = job()
    with world() as (trainer, platform):
        trainer.train(todo, print)
        trainer.train(replace(todo, again=True), print)
        assert names(platform) == ["-1", "-2"]
        channels = [channel["name"] for channel in platform.book.all()[-1].body["algorithm"]["inputs"]]
        assert channels == ["data_url"], "it starts from nothing"
        trainer.train(todo, print)
        assert names(platform) == ["-1", "-2"]


@pytest.mark.parametrize("point", ["train.job.submitted", "train.job.poll", "train.job.fetch"])
def test_a_new_training_that_broke_is_taken_up_again_and_not_paid_for_twice(world, job, tmp_path, point):
    """A forced job that ends before anybody hears of it; the retry asks with `again` as well."""
    forced = replace(job(), again=True)
    with world() as (trainer, platform):
        trainer.train(job(), print)
        broken = doubles.trainer_for(trainer.client, trainer._store, trainer._settings, tmp_path, f"error@{point}")
        with pytest.raises(Transient):
            broken.train(forced, print)
        wait_for_the_end(platform)
        trainer.train(forced, print)
        assert names(platform) == ["-1", "-2"]
        assert trainer._ledger.read(forced.key).settled
        trainer.train(forced, print)
        assert names(platform) == ["-1", "-2", "-3"], "asked for once more, after the end was told"


def test_a_new_training_takes_nothing_of_the_old_one(world, job, store):
    todo = job(epochs=3)
    with world() as (trainer, _):
        trainer.train(todo, print)
        for path in todo.folder.iterdir():
            path.unlink()
        trainer.train(replace(job(epochs=1), again=True), print)
        assert sorted(path.name for path in todo.folder.glob("*.ckpt")) == ["epoch-1.ckpt"]


def test_a_finished_job_whose_results_are_gone_is_run_again(world, job, store):
    todo = job()
    with world() as (trainer, platform):
        trainer.train(todo, print)
        store.delete([key for key, _ in store.list("af/jobs/")])
        trainer.train(todo, print)
        assert names(platform) == ["-1", "-2"]


@pytest.mark.parametrize(
    ("spec", "kind", "match"),
    [
        ({"error": {"kind": "user", "message": "bad label", "hint": "look"}, "exit": 2}, UserError, "bad label"),
        ({"exit": 5}, Transient, "about to end"),
        ({"exit": 6}, Corrupt, "about to end"),
        ({"exit": 1}, AtlasFlowError, "exit code 1"),
        ({"signal": signal.SIGTERM}, Transient, "SIGTERM"),
        ({"signal": signal.SIGKILL}, Refused, "ran out of memory"),
    ],
)
def test_failures_of_the_training_end_in_the_right_class(world, job, spec, kind, match):
    with world() as (trainer, _), pytest.raises(AtlasFlowError, match=match) as caught:
        trainer.train(job(**spec), print)
    assert type(caught.value) is kind


def test_a_failed_training_goes_on_in_a_second_attempt(world, job):
    with world() as (trainer, platform):
        with pytest.raises(Transient):
            trainer.train(job(epochs=3, break_after=1), print)
        lines = []
        trainer.train(job(epochs=3), lines.append)
        assert names(platform) == ["-1", "-2"]
    assert epochs(lines) == [2, 3]


@pytest.mark.parametrize(
    ("fault", "kind", "match"),
    [
        ("lost@modelarts.run", Transient, "lost by the platform"),
        ("fail@modelarts.run", AtlasFlowError, "exit code 1"),
        ("memory@modelarts.run", Refused, "ran out of memory"),
    ],
)
def test_faults_of_the_platform_end_in_the_right_class_and_the_next_call_succeeds(world, job, fault, kind, match):
    with world(faults=fault) as (trainer, platform):
        with pytest.raises(kind, match=match):
            trainer.train(job(), print)
        trainer.train(job(), print)
        assert names(platform) == ["-1", "-2"]


def test_a_pre_empted_job_is_followed_through_its_restart(world, job):
    lines = []
    with world(faults="preempt@modelarts.run") as (trainer, platform):
        trainer.train(job(), lines.append)
        (record,) = platform.book.all()
    assert [run["start_type"] for run in record.runs] == ["init_or_rescheduled", "restarted"]
    assert any("Completed" in line for line in lines)


def test_silence_ends_in_an_error_that_says_that_the_job_goes_on(world, job):
    faults = ",".join(f"broken@modelarts.show#{visit}" for visit in range(1, 6))
    with world(faults=faults) as (trainer, platform):
        with pytest.raises(Transient) as caught:
            trainer.train(job(), print)
        assert "goes on" in caught.value.hint
        trainer.train(job(), print)
        assert names(platform) == ["-1"]


def test_a_job_that_ended_while_nobody_looked_tells_its_error_once(world, job):
    todo = job(exit=2)
    with world(trainer_faults="error@train.job.submitted") as (trainer, platform):
        with pytest.raises(Transient):
            trainer.train(todo, print)
        with pytest.raises(UserError, match="about to end"):
            trainer.train(todo, print)
        assert names(platform) == ["-1"]
        with pytest.raises(UserError):
            trainer.train(todo, print)
        assert names(platform) == ["-1", "-2"]


def test_one_job_at_a_time(world, job, tmp_path):
    gate = threading.Event()
    seen = []
    options = doubles.QUICK.model_copy(update={"slots": 2})
    with world(options=options, jobs_at_once=1) as (trainer, platform):

        def first(line):
            if line == "fake train":
                gate.set()

        blocked = job(key="cd" * 32, pid_file=str(tmp_path / "pid"))

        def train_blocked():
            with pytest.raises(Refused):
                trainer.train(blocked, first)

        other = threading.Thread(target=train_blocked)
        other.start()
        assert gate.wait(30)

        def second(line):
            seen.append(line)
            if "waiting, as" in line:
                platform.stop(platform.book.all()[0])

        trainer.train(job(), second)
        other.join()
    assert "jobs_at_once is 1" in seen[0]
    assert epochs(seen) == [1, 2]


def test_the_cap_refuses_before_anything_is_submitted(world, job):
    with world(prices={"modelarts.vm.cpu.2u": 5.0}, cost_cap=100.0) as (trainer, platform):
        with pytest.raises(UserError, match="cost_cap"):
            trainer.train(job(), print)
        assert names(platform) == []


def test_the_price_is_told(world, job):
    lines = []
    with world(prices={"modelarts.vm.cpu.2u": 5.0}, cost_cap=120.0) as (trainer, _):
        trainer.train(job(), lines.append)
    assert any("at most 120.00" in line for line in lines)


def test_a_job_of_another_bucket_is_not_adopted(world, job, store):
    todo = job()
    with world() as (trainer, platform):
        trainer.train(todo, print)
        record = platform.book.all()[0]
        record.body["algorithm"]["outputs"][0]["remote"]["obs"]["obs_url"] = "obs://elsewhere/x/"
        with pytest.raises(UserError, match="elsewhere"):
            trainer.train(todo, print)


def test_no_key_in_what_people_see_or_what_is_kept(world, job, tmp_path, capfd):
    todo = job()
    with world() as (trainer, _):
        trainer.train(todo, print)
    seen = capfd.readouterr()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (doubles.ACCOUNT.secret_key,):
        assert secret not in seen.out + seen.err
        assert secret.encode() not in kept


@pytest.mark.parametrize(
    ("point", "again", "resumes"),
    [
        ("train.job.intent", False, "submitted"),
        ("train.job.submit", False, "submitted"),
        ("train.job.submitted", False, "re-attached|adopting"),
        ("train.job.poll", False, "re-attached|adopting"),
        ("train.job.fetch", False, "adopting"),
        ("train.job.fetch", True, "adopting"),
    ],
)
def test_a_killed_client_costs_no_second_job(world, job, tmp_path, store, point, again, resumes):
    todo = replace(job(), again=again)
    with world() as (trainer, platform):
        port = int(trainer.client._client._endpoints[0].rpartition(":")[2])
        script = f"""
            from pathlib import Path
            from infra.ports.training import TrainJob
            from tests.unit.infra.training import doubles
            store = doubles.FolderStore(Path({str(store.folder.parent)!r}))
            settings = doubles.settings_for({port})
            job = TrainJob({todo.key!r}, Path({str(todo.data)!r}), {dict(todo.spec)!r}, Path({str(todo.folder)!r}),
                           {todo.data_address!r}, {todo.code_address!r}, again={again})
            with doubles.client_for(settings) as client:
                doubles.trainer_for(client, store, settings, Path({str(tmp_path)!r}), "kill@{point}").train(job, print)
        """
        command = [sys.executable, "-c", textwrap.dedent(script)]
        killed = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=120)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        lines = []
        trainer.train(todo, lines.append)
        assert names(platform) == ["-1"]
    assert any(word in line for line in lines for word in resumes.split("|"))
    assert (todo.folder / "history.json").exists()


def test_the_producer_tells_stand_in_and_real_apart():
    settings = doubles.settings_for(1)
    real, emulated = producer(settings, emulated=False), producer(settings, emulated=True)
    assert (real.name, real.emulated) == ("modelarts", False)
    assert (emulated.name, emulated.emulated) == ("modelarts-stand-in", True)
    assert emulated == producer(settings, emulated=True)
    other = settings.model_copy(update={"engine": "another"})
    assert producer(other, emulated=False) != real


def test_the_producer_needs_no_sdk():
    code = (
        "import sys; from infra.modelarts.trainer import producer; from infra.settings import ModelArtsSettings;"
        "producer(ModelArtsSettings(), emulated=True);"
        "sys.exit(any(name.startswith(('huaweicloud', 'mindspore')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0
