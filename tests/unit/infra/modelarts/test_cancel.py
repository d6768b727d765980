"""A cancelled run stops its job at any point, and a job that no process watches is found."""

from pathlib import Path

import pytest

from infra.errors import Transient, UserError
from infra.modelarts.client import ModelArts
from infra.modelarts.phases import Phase
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.training import OnEvent, TrainEvent, TrainJob
from tests.unit.infra.local_training.doubles import Recorder, ignore
from tests.unit.infra.modelarts.conftest import MakeJob, OpenWorld, World
from tests.unit.infra.modelarts.jobs import KEY

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12

BAD_RESPONSES = ["throttle", "broken", "drop"]


@pytest.fixture
def endless(job: MakeJob, tmp_path: Path) -> TrainJob:
    """A training that runs until it is stopped."""
    return job(pid_file=str(tmp_path / "pid"))


def interrupt_at(part: str, record: OnEvent = ignore) -> OnEvent:
    def on_event(event: TrainEvent) -> None:
        record(event)
        if part in str(event):
            raise KeyboardInterrupt

    return on_event


def train_until(trainer: ModelArtsTrainer, job: TrainJob, part: str = "fake train") -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer.train(job, interrupt_at(part))


def is_settled(trainer: ModelArtsTrainer) -> bool:
    intent = trainer.ledger.read(KEY)
    assert intent is not None
    return intent.settled


def assert_stopped(world: World) -> None:
    (record,) = world.platform.book.all()
    assert record.phase in (Phase.TERMINATING, Phase.TERMINATED)
    assert is_settled(world.trainer)


@pytest.mark.parametrize("part", ["fake train", "submitted the ModelArts job", ": Running"])
def test_cancelling_stops_the_job_and_the_next_run_starts_another(
    open_world: OpenWorld, job: MakeJob, endless: TrainJob, part: str
) -> None:
    recorder = Recorder()
    with open_world() as world:
        train_until(world.trainer, endless, part)
        assert_stopped(world)
        world.trainer.train(job(), recorder)
        assert world.attempts == [1, 2]
    assert recorder.has_status("Completed")


@pytest.mark.parametrize(
    "fault", [*(f"{action}@modelarts.stop" for action in BAD_RESPONSES), "drop@modelarts.stop.answer"]
)
def test_one_failed_request_does_not_keep_the_job_running(open_world: OpenWorld, endless: TrainJob, fault: str) -> None:
    with open_world(faults=fault) as world:
        train_until(world.trainer, endless)
        assert_stopped(world)


class InterruptedClient:
    """A client that Ctrl-C interrupts while it submits a job, before or after the platform has created it."""

    def __init__(self, client: ModelArts, *, created: bool) -> None:
        self._client = client
        self._created = created

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def submit(self, body: dict[str, object]) -> None:
        if self._created:
            self._client.submit(body)
        raise KeyboardInterrupt


@pytest.mark.parametrize("created", [True, False])
def test_cancelling_during_submission_leaves_no_running_job(
    open_world: OpenWorld, endless: TrainJob, created: bool
) -> None:
    with open_world() as world:
        world.trainer.client = InterruptedClient(world.trainer.client, created=created)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            world.trainer.train(endless, ignore)
        if created:
            assert_stopped(world)
        else:
            assert world.attempts == []
            assert not is_settled(world.trainer), "the next run finds a job that appears later"


def test_a_job_that_cannot_be_stopped_is_reported_and_watched_by_the_next_run(
    open_world: OpenWorld, job: MakeJob, tmp_path: Path
) -> None:
    recorder = Recorder()
    faults = ",".join(f"broken@modelarts.stop#{visit}" for visit in range(1, 5))
    gate = tmp_path / "go"
    with open_world(faults=faults) as world:
        with pytest.raises(KeyboardInterrupt):
            world.trainer.train(job(wait_for=str(gate)), interrupt_at("fake train", recorder))
        assert "could not stop" in recorder.status[-1]
        assert [orphan.phase for orphan in world.trainer.orphans()] == [Phase.RUNNING]
        gate.touch()
        world.trainer.train(job(), ignore)
        assert world.attempts == [1]


def test_stopping_on_cancel_can_be_switched_off(open_world: OpenWorld, job: MakeJob) -> None:
    with open_world(stop_on_cancel=False) as world:
        train_until(world.trainer, job())
        world.trainer.train(job(), ignore)
        assert world.attempts == [1]


def crash(trainer: ModelArtsTrainer, job: TrainJob) -> None:
    with pytest.raises(Transient):
        trainer.train(job, ignore)


def test_a_job_is_an_orphan_unless_a_process_watches_it(open_world: OpenWorld, endless: TrainJob) -> None:
    with open_world(trainer_faults="error@train.job.submitted") as world:
        crash(world.trainer, endless)
        (orphan,) = world.trainer.orphans()
        assert orphan.name == world.platform.book.all()[0].name
        with world.trainer.ledger.watch(KEY):
            assert world.trainer.orphans() == []
        world.trainer.stop(orphan.name)
        assert world.trainer.orphans() == []


def test_jobs_of_another_installation_are_listed_on_request_only(open_world: OpenWorld, endless: TrainJob) -> None:
    with open_world(trainer_faults="error@train.job.submitted") as world:
        crash(world.trainer, endless)
        other = world.another_trainer("error@train.job.poll", installation="other")
        assert other.orphans() == []
        (seen,) = other.orphans(everywhere=True)
        assert seen.name == world.platform.book.all()[0].name
        crash(other, endless)  # it re-attaches, and crashes
        assert [found.name for found in other.orphans()] == [seen.name], "the installation that watches a job owns it"
        assert world.trainer.orphans() == []


def test_an_unknown_job_cannot_be_stopped(open_world: OpenWorld) -> None:
    with open_world() as world, pytest.raises(UserError, match="no training job 'absent'"):
        world.trainer.stop("absent")


def test_a_stopped_job_ends_before_the_next_attempt_starts(
    open_world: OpenWorld, job: MakeJob, endless: TrainJob
) -> None:
    """Both write to the same prefix, so they must not run at once."""
    with open_world() as world:
        train_until(world.trainer, endless)
        world.trainer.train(job(), ignore)
        first, second = world.platform.book.all()
        assert first.ended is not None
        assert first.ended <= second.created
