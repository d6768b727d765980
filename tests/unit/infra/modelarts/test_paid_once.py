"""Nothing that was paid for is lost, and nothing is paid for twice, whatever the platform answers."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from infra.errors import AtlasFlowError, Corrupt, Refused, Transient
from infra.modelarts import plan
from infra.modelarts.client import ModelArts
from infra.modelarts.codes import JobMissing
from infra.modelarts.phases import Phase
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.training import TrainJob
from tests.unit.infra.local_training.doubles import Recorder, ignore
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.fake import FakeModelArts, job_of, write_results
from tests.unit.infra.modelarts.jobs import KEY, PATHS

RESULTS = PATHS.results(KEY)


@dataclass
class World:
    """A trainer with a scripted platform; a sleep costs no time, and may do something."""

    fake: FakeModelArts
    store: doubles.FolderStore
    folder: Path
    slept: list[float] = field(default_factory=list)
    on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        assert len(self.slept) < 1000
        self.on_sleep()

    def trainer(self, machine: str = "here") -> ModelArtsTrainer:
        """The trainer of one machine."""
        return ModelArtsTrainer(
            lambda: cast(ModelArts, self.fake),
            lambda: self.store,
            doubles.settings_for(1),
            "af",
            self.folder / machine,
            emulated=False,
            sleep=self.sleep,
        )

    def results(self) -> None:
        """Let the platform upload the results."""
        write_results(self.store, self.folder / "results", RESULTS)

    def left(self, phase: Phase) -> None:
        """Let an earlier attempt have ended so."""
        self.fake.all = [job_of(plan.name(KEY, 1), phase, f"obs://bucket/{RESULTS}/")]

    @property
    def names(self) -> list[str]:
        """The jobs that were paid for."""
        return [job.name for job in self.fake.all]


@pytest.fixture
def world(tmp_path: Path, store: doubles.FolderStore) -> World:
    return World(FakeModelArts(), store, tmp_path)


@pytest.fixture
def todo(tmp_path: Path) -> TrainJob:
    (tmp_path / "work").mkdir()
    return TrainJob(KEY, tmp_path, {"epochs": 1}, tmp_path / "work", "obs://bucket/d/", "obs://bucket/c/")


@pytest.mark.parametrize("error", [Transient("log service"), Refused("no right to read logs")])
def test_a_finished_job_is_fetched_whatever_its_log_service_says(
    world: World, todo: TrainJob, error: AtlasFlowError
) -> None:
    recorder = Recorder()
    world.fake.phases = [*[Phase.RUNNING] * 8, Phase.COMPLETED]
    world.fake.preview_error = error
    world.results()
    world.trainer().train(todo, recorder)
    assert (todo.folder / "r.txt").read_bytes() == b"result"
    assert len([line for line in recorder.status if error.message in line]) == 1


def test_a_finished_job_is_fetched_though_its_exported_log_cannot_be_read(
    world: World, todo: TrainJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    world.results()

    def refuse(key: str) -> None:
        raise Refused(f"no right to read {key}")

    monkeypatch.setattr(world.store, "head", refuse)
    world.trainer().train(todo, recorder)
    assert (todo.folder / "r.txt").exists()
    assert (todo.folder / "train.log").read_text() == "line\n"
    assert recorder.has_status("exported log")


def test_how_a_job_ended_is_told_without_its_events(world: World, todo: TrainJob) -> None:
    world.fake.phases = [Phase.TERMINATED]
    world.fake.events_error = Refused("no right to read events")
    with pytest.raises(Refused, match=r"(?s)stopped on the platform.*no right to read events"):
        world.trainer().train(todo, ignore)


def test_two_machines_that_start_at_once_pay_for_one_job(world: World, todo: TrainJob) -> None:
    """The second machine has looked before the first one submits, and submits after that job has ended."""
    world.results()
    second = world.trainer("there")
    decided = second._latest_attempt(KEY)
    world.trainer("here").train(todo, ignore)
    assert second._existing_job(todo, decided, ignore_text) is None
    adopted = second._submit(todo, decided, ignore_text)
    assert world.names == [adopted.name] == [plan.name(KEY, 1)]


def test_a_job_of_our_own_that_is_not_listed_yet_is_adopted(world: World, todo: TrainJob) -> None:
    world.fake.creations, world.fake.lost = [Transient("connection lost")], True
    world.results()
    trainer = world.trainer()
    world.fake.lag = 1
    with pytest.raises(Transient, match="connection lost"):
        trainer.train(todo, ignore)
    world.fake.lag = 4
    trainer.train(todo, ignore)
    assert len(world.names) == 1


def test_a_job_that_is_never_listed_is_not_refused_for_good(world: World, todo: TrainJob) -> None:
    world.left(Phase.RUNNING)
    world.fake.lag = 1000
    with pytest.raises(Transient, match="not listed yet") as caught:
        world.trainer().train(todo, ignore)
    assert "adopted" in caught.value.hint


def test_a_request_to_wait_is_kept_when_a_job_is_created(world: World, todo: TrainJob) -> None:
    throttled = Transient("throttled")
    throttled.after = 17
    world.fake.creations = [throttled, throttled]
    world.results()
    world.trainer().train(todo, ignore)
    assert world.slept[:2] == [17, 17]
    assert len(world.names) == 1


def test_a_failure_without_a_time_to_wait_is_left_to_the_stage(world: World, todo: TrainJob) -> None:
    world.fake.creations = [Transient("sold out")]
    with pytest.raises(Transient, match="sold out"):
        world.trainer().train(todo, ignore)
    assert world.slept == []


@pytest.mark.parametrize("stopped_as", [Phase.TERMINATED, None], ids=["ended", "seen to be over"])
def test_an_abnormal_job_is_over_before_another_is_paid_for(
    world: World, todo: TrainJob, stopped_as: Phase | None
) -> None:
    world.left(Phase.ABNORMAL)
    world.fake.phases, world.fake.stopped_as = [Phase.ABNORMAL], stopped_as
    world.on_sleep = lambda: setattr(world.fake, "phases", [Phase.COMPLETED]) if len(world.names) > 1 else None
    latest = world.trainer()._latest_attempt(KEY)
    assert world.trainer()._existing_job(todo, latest, ignore_text) is None
    assert world.fake.stops == 1


def test_an_abnormal_job_that_still_runs_is_not_paid_for_again(world: World, todo: TrainJob) -> None:
    world.left(Phase.ABNORMAL)
    world.fake.phases = [Phase.ABNORMAL]
    world.fake.running_ms = itertools.count(1000, 1000).__next__
    with pytest.raises(Refused, match="running time still grows"):
        world.trainer().train(todo, ignore)
    assert len(world.names) == 1


def test_an_abnormal_job_that_completes_after_all_is_adopted(world: World, todo: TrainJob) -> None:
    world.left(Phase.ABNORMAL)
    world.fake.phases = [Phase.ABNORMAL, Phase.COMPLETED]
    world.results()
    world.trainer().train(todo, ignore)
    assert len(world.names) == 1
    assert (todo.folder / "r.txt").exists()


def test_late_outputs_are_waited_for(world: World, todo: TrainJob) -> None:
    recorder = Recorder()
    world.on_sleep = lambda: world.results() if len(world.slept) == 3 else None
    world.trainer().train(todo, recorder)
    assert (todo.folder / "r.txt").exists()
    assert recorder.has_status("still be uploading")


def test_late_outputs_of_a_job_of_another_machine_are_waited_for(world: World, todo: TrainJob) -> None:
    world.left(Phase.COMPLETED)
    world.on_sleep = lambda: world.results() if len(world.slept) == 3 else None
    world.trainer("there").train(todo, ignore)
    assert len(world.names) == 1
    assert (todo.folder / "r.txt").exists()


def test_outputs_that_never_come_are_corrupt_in_the_end(world: World, todo: TrainJob) -> None:
    with pytest.raises(Corrupt, match=r"wrote no digests\.json") as caught:
        world.trainer().train(todo, ignore)
    assert "--force train" in caught.value.hint
    assert len(world.slept) >= 5


@pytest.mark.parametrize("error", [Refused("token expires"), Transient("no answer")])
def test_a_watch_that_breaks_says_that_the_job_goes_on(world: World, todo: TrainJob, error: AtlasFlowError) -> None:
    error.hint = "get a new token"
    world.fake.phases = [Phase.RUNNING, error]
    with pytest.raises(type(error)) as caught:
        world.trainer().train(todo, ignore)
    assert caught.value.hint.startswith("get a new token; ")
    assert "goes on" in caught.value.hint


def test_a_deleted_job_does_not_go_on(world: World, todo: TrainJob) -> None:
    world.fake.phases = [Phase.RUNNING, JobMissing("gone", hint="run again")]
    with pytest.raises(JobMissing) as caught:
        world.trainer().train(todo, ignore)
    assert caught.value.hint == "run again"


def test_a_request_to_wait_is_kept_while_a_job_is_watched(world: World, todo: TrainJob) -> None:
    throttled = Transient("throttled")
    throttled.after = 23
    world.fake.phases = [Phase.RUNNING, throttled, Phase.COMPLETED]
    world.results()
    world.trainer().train(todo, ignore)
    assert 23 in world.slept


def ignore_text(_text: str) -> None:
    """Ignore a line."""


def test_the_fake_lists_names_once(world: World) -> None:
    """The platform's names are unique: the fake refuses a second job of one name, as 2751 does."""
    body: Any = {"metadata": {"name": "x"}, "algorithm": {"outputs": [{"remote": {"obs": {"obs_url": "obs://b/o/"}}}]}}
    world.fake.submit(body)
    with pytest.raises(Refused, match="duplicate"):
        world.fake.submit(body)
    assert replace(world.fake.all[0]).output == "obs://b/o/"
