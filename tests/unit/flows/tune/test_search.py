"""The loop of a search, with workers that answer at once: no server, no Dask, no training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from flows.requests import TuneRequest
from flows.tune import search
from flows.tune import workers as trials
from flows.tune.search import SearchRun
from infra.errors import Refused, Transient
from infra.settings import load
from infra.store.receipts import Receipts
from infra.store.runs import RunRecord
from tasks.tune.space import space_of
from tasks.tune.study import opened
from tasks.tune.trial import INTERRUPTED, Cost, Outcome
from tests.unit.tasks.doubles import Lines

pytest.importorskip("optuna", reason="the extra `tuning` is not installed")


class Future:
    """Done from the beginning."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def result(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs searches over three seeds and two schedules; what happens is in `bench`."""
    found = SimpleNamespace(
        busy=5.0,
        jobs=[],
        workers=1,
        opened=0,
        measured=[],
        most_running=0,
        lines=Lines(),
        record=RunRecord("r", 0, "local"),
    )
    found.answer = lambda job: Outcome(
        "finished", accuracy=job.number / 100, curve={1: 0.1}, keys={"train": f"k{job.number}"}
    )
    running = []

    def submit(_task: Any, parameters: Any) -> Any:
        found.jobs.append(parameters["job"])
        future = Future(found.answer(parameters["job"]))
        running.append(future)
        found.most_running = max(found.most_running, len(running))
        return future

    def as_completed(futures: Any) -> Any:
        first = next(future for future in running if future in futures)
        running.remove(first)
        return iter([first])

    @contextmanager
    def workers(cluster: Any, settings: Any, reporter: Any) -> Iterator[Any]:
        found.opened += 1
        yield SimpleNamespace(submit=submit)

    @contextmanager
    def holding(limits: Any, home: Any, say: Any) -> Iterator[Any]:
        assert limits == {"training": 1}
        yield

    def chain_of(chain: Any, levels: Any) -> Any:
        train = chain.settings.train.model_copy(update=dict(levels))
        look = SimpleNamespace(key=str(levels.get("width")), receipt=None)
        settings = chain.settings.model_copy(update={"train": train})
        return SimpleNamespace(settings=settings, home=chain.home, look=lambda stage: look)

    monkeypatch.setattr(search, "as_completed", as_completed)
    monkeypatch.setattr(search, "workers", workers)
    monkeypatch.setattr(search, "worker_count", lambda runner: found.workers)
    monkeypatch.setattr(search, "holding", holding)
    monkeypatch.setattr(search, "chain_of", chain_of)
    monkeypatch.setattr(search, "run_one", lambda chain, name, record, title: found.measured.append(title))
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: found.busy)
    monkeypatch.setattr(search, "cost_of", lambda chain: Cost(1000, 0.004, 1.0))

    def run(*, limit: Any = None, deadline: Any = None, space: Any = None, **settings: Any) -> Any:
        chain: Any = SimpleNamespace(
            home=tmp_path, settings=load(overrides=settings), receipts=Receipts(tmp_path), look=None
        )
        space = space or space_of(["lenet5-sample"], [], {"train.seed": "1,2,3", "train.schedule": "cosine,square"})
        said = {"search": "grid", "seed": 1}
        with opened(tmp_path / "study", said, space) as study:
            try:
                SearchRun(chain, TuneRequest(), study, found.record, found.lines, limit=limit, deadline=deadline).run()
            finally:
                found.trials = study.trials()
        return [trial.outcome and trial.outcome.end for trial in found.trials]

    found.run = run
    yield found
    INTERRUPTED.clear()


def test_a_whole_grid_with_one_measurement_a_network(bench: Any) -> None:
    assert bench.run() == ["finished"] * 6
    assert (bench.opened, bench.measured, bench.most_running) == (1, ["profile lenet5"], 1)
    assert [item.key for item in bench.record.stages] == [f"k{job.number}" for job in bench.jobs]
    assert bench.lines.moved[-1] == (6, 6, "trials")


def test_the_second_time_nothing_is_begun(bench: Any) -> None:
    bench.run()
    bench.jobs.clear()
    assert bench.run() == ["finished"] * 6
    assert (bench.jobs, bench.opened) == ([], 1)
    assert "6 trials are finished from earlier searches" in bench.lines.lines


def test_as_many_at_once_as_there_are_workers(bench: Any) -> None:
    bench.workers = 4
    assert bench.run() == ["finished"] * 6
    assert bench.most_running == 4


def test_the_number_of_trials_counts_those_of_before(bench: Any) -> None:
    assert bench.run(limit=2) == ["finished"] * 2
    assert bench.run(limit=5) == ["finished"] * 5
    assert len(bench.jobs) == 5


def test_no_trial_begins_when_the_time_is_over(bench: Any) -> None:
    assert bench.run(deadline=1.0) == []


def test_what_was_left_comes_first_the_next_time(bench: Any) -> None:
    whole, bench.answer = bench.answer, lambda job: Outcome("left", "the time was over", curve={1: 0.1})
    assert bench.run(limit=1) == [None]
    bench.answer = whole
    assert bench.run(limit=2) == ["finished"] * 2
    assert [job.number for job in bench.jobs] == [0, 0, 1]


def test_trouble_that_may_pass_leaves_the_trial_and_goes_on(bench: Any) -> None:
    whole = bench.answer
    bench.answer = lambda job: Transient("the worker died") if job.number == 1 else whole(job)
    assert bench.run(limit=3) == ["finished", None, "finished"]
    assert any("the worker died" in line for line in bench.lines.lines)


def test_other_trouble_ends_the_search_and_its_trials(bench: Any) -> None:
    bench.answer = lambda job: Refused("the disk is full")
    with pytest.raises(Refused):
        bench.run()
    assert INTERRUPTED.is_set()
    assert [trial.outcome for trial in bench.trials] == [None]


def test_levels_that_do_not_go_together_fail_without_a_training(bench: Any) -> None:
    space = space_of(["lenet5-sample"], [], {"train.schedule": "cosine,stage"})
    assert sorted(bench.run(space=space)) == ["failed", "finished"]
    (wrong,) = (trial for trial in bench.trials if trial.outcome.end == "failed")
    assert "milestones" in wrong.outcome.reason
    assert len(bench.jobs) == 1


def test_each_network_is_measured_once(bench: Any) -> None:
    space = space_of(["lenet5-sample"], [], {"train.width": "1,2", "train.seed": "1,2"})
    bench.run(space=space)
    assert len(bench.measured) == 2


@pytest.mark.parametrize("busy", [5.0, 80.0])
def test_what_else_the_machine_does_while_a_latency_is_measured_is_told(bench: Any, busy: float) -> None:
    bench.busy = busy
    bench.run(limit=1)
    assert any("other processes use 80 % of the processor" in line for line in bench.lines.lines) is (busy > 25)


def test_a_job_is_compared_with_trainings_of_its_own_length(bench: Any) -> None:
    space = space_of(["lenet5-sample"], [], {"train.epochs": "2,3", "train.seed": "1,2,3"})
    settings = {"tune.prune_after": "1"}
    bench.run(space=space, **settings)
    for job in bench.jobs:
        before = [other for other in bench.jobs[: bench.jobs.index(job)] if other.epochs == job.epochs]
        assert list(job.pruning.curves) == [{1: pytest.approx(5 - 0.0014 - 0.15)}] * len(before)
        assert (job.pruning.rule, job.pruning.after) == ("median", 1)


def test_a_training_has_all_cores_unless_the_settings_say_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "cores", lambda: 8)
    assert trials.threads_of(load()) == 0
    assert trials.threads_of(load(overrides={"tune.threads": "2"})) == 2
    assert trials.threads_of(load(overrides={"tune.threads": "8"})) == 0
    assert trials.threads_of(load(overrides={"tune.threads": "64"})) == 0
