"""A cancelled run stops its job, whenever it is cancelled, and what nobody waits for is found."""

import time

import pytest

from infra.errors import Transient, UserError
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import KEY

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

BAD = ["throttle", "broken", "drop"]


@pytest.fixture
def sleeping(job, tmp_path):
    """A training that goes on until it is stopped."""
    return job(pid_file=str(tmp_path / "pid"))


def cancel_at(word):
    def lines(line):
        if word in line:
            raise KeyboardInterrupt

    return lines


def cancelled(trainer, todo, word="fake train"):
    with pytest.raises(KeyboardInterrupt):
        trainer.train(todo, cancel_at(word))


def names(platform):
    return [record.name[-2:] for record in platform.book.all()]


def assert_stopped(trainer, platform):
    (record,) = platform.book.all()
    assert record.phase in ("Terminating", "Terminated")
    assert trainer._ledger.read(KEY).settled


@pytest.mark.parametrize("word", ["fake train", "submitted the ModelArts job", ": Running"])
def test_cancelling_stops_the_job_and_the_next_run_starts_another(world, job, sleeping, word):
    with world() as (trainer, platform):
        cancelled(trainer, sleeping, word)
        assert_stopped(trainer, platform)
        lines = []
        trainer.train(job(), lines.append)
        assert names(platform) == ["-1", "-2"]
    assert any("Completed" in line for line in lines)


@pytest.mark.parametrize("fault", [*(f"{action}@modelarts.stop" for action in BAD), "drop@modelarts.stop.answer"])
def test_one_bad_answer_does_not_let_the_job_go_on(world, sleeping, fault):
    with world(faults=fault) as (trainer, platform):
        cancelled(trainer, sleeping)
        assert_stopped(trainer, platform)


def test_cancelling_while_the_job_is_being_created_stops_it(world, sleeping, monkeypatch):
    """Ctrl-C after the platform has made the job and before its answer is read."""
    with world() as (trainer, platform):
        submit = trainer.client.submit

        def interrupted(body):
            submit(body)
            raise KeyboardInterrupt

        monkeypatch.setattr(trainer.client, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(sleeping, print)
        assert_stopped(trainer, platform)


def test_cancelling_before_the_job_is_created_leaves_nothing(world, sleeping, monkeypatch):
    def interrupted(_body):
        raise KeyboardInterrupt

    with world() as (trainer, platform):
        monkeypatch.setattr(trainer.client, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(sleeping, print)
        assert names(platform) == []
        monkeypatch.undo()
        assert not trainer._ledger.read(KEY).settled, "one that appears later is found by the next run"


def test_a_job_that_cannot_be_stopped_is_told_and_followed_by_the_next_run(world, job, tmp_path):
    lines = []

    def cancel(line):
        lines.append(line)
        if line == "fake train":
            raise KeyboardInterrupt

    faults = ",".join(f"broken@modelarts.stop#{visit}" for visit in range(1, 5))
    gate = tmp_path / "go"
    with world(faults=faults) as (trainer, platform):
        with pytest.raises(KeyboardInterrupt):
            trainer.train(job(wait_for=str(gate)), cancel)
        assert "could not stop" in lines[-1]
        assert [orphan.phase for orphan in trainer.orphans()] == ["Running"]
        gate.touch()
        trainer.train(job(), print)
        assert names(platform) == ["-1"]


def test_a_cancelled_run_may_leave_its_job(world, job):
    with world(stop_on_cancel=False) as (trainer, platform):
        cancelled(trainer, job())
        trainer.train(job(), print)
        assert names(platform) == ["-1"]


def crash(trainer, todo):
    with pytest.raises(Transient):
        trainer.train(todo, print)


def test_the_job_of_a_run_that_ended_is_an_orphan_and_one_that_is_watched_is_none(world, sleeping):
    with world(trainer_faults="error@train.job.submitted") as (trainer, platform):
        crash(trainer, sleeping)
        (orphan,) = trainer.orphans()
        assert orphan.name == platform.book.all()[0].name
        with trainer._ledger.watching(KEY):
            assert trainer.orphans() == []
        trainer.stop(orphan.name)
        assert trainer.orphans() == []


def test_jobs_of_another_installation_are_not_ours_to_stop(world, sleeping, job, tmp_path):
    with world(trainer_faults="error@train.job.submitted") as (trainer, platform):
        crash(trainer, sleeping)
        other = doubles.trainer_for(
            trainer.client, trainer._store, trainer._settings, tmp_path / "other", "error@train.job.poll"
        )
        assert other.orphans() == []
        (seen,) = other.orphans(everywhere=True)
        assert seen.name == platform.book.all()[0].name
        crash(other, sleeping)  # it re-attaches, and breaks
        assert [found.name for found in other.orphans()] == [seen.name], "who waits for a job takes it over"
        assert trainer.orphans() == []


def test_an_unknown_job_cannot_be_stopped(world):
    with world() as (trainer, _), pytest.raises(UserError, match="no training job 'absent'"):
        trainer.stop("absent")


def test_a_stopped_job_is_waited_for_before_the_next_attempt(world, job, sleeping):
    """Both write to the same place, so they must not run at once."""
    with world() as (trainer, platform):
        cancelled(trainer, sleeping)
        lines = []
        trainer.train(job(), lines.append)
        first, second = platform.book.all()
        assert first.ended <= second.created
    assert time.time() > second.created
