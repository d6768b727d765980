"""A trial with a world and a chain of its own: what is judged when, and what becomes of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import Transient, UserError
from infra.ports.training import Epoch
from infra.settings import load
from infra.training_runs import TrainingRuns
from infra.world import World
from tasks.tune.pruning import Pruning
from tasks.tune.trial import INTERRUPTED, Cost, Job, curve_of, perform

COST = Cost(1000, 0.0, 0.0)  # the score is half the accuracy in percent
ACCURACIES = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture(autouse=True)
def uninterrupted() -> Iterator[Any]:
    yield
    INTERRUPTED.clear()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A chain whose training is heard epoch by epoch; `bench.heard` are the epochs that came."""
    found = SimpleNamespace(heard=[], first=1, error=None, every=1, before=lambda epoch: None)
    results = tmp_path / "results"
    results.mkdir()

    def train(
        runs: Any,
        key: Any,
        data: Any,
        digest: Any,
        spec: Any,
        folder: Any,
        on_epoch: Any,
        on_status: Any,
        *,
        again: bool = False,
        pretrained: Any = None,
    ) -> None:
        for epoch, accuracy in enumerate(ACCURACIES, 1):
            evaluated = {"accuracy": accuracy} if epoch % found.every == 0 or epoch == len(ACCURACIES) else {}
            with (results / "history.jsonl").open("a") as file:
                file.write(json.dumps({"epoch": epoch, **evaluated}) + "\n")
            if epoch >= found.first:
                found.before(epoch)
                on_epoch(Epoch(epoch, len(ACCURACIES), 1.0, 1.0, 1.0, **evaluated))
        if found.error:
            raise found.error

    monkeypatch.setattr(TrainingRuns, "run", train)

    def run(stage: Any) -> Any:
        if stage == "train" and not found.reused:
            chain.world.training().run(
                "k", results, "d", {}, results, lambda event: found.heard.append(event.epoch), print
            )
        (tmp_path / "metrics.json").write_text(json.dumps({"accuracy": 0.4}))
        outputs = {"metrics": tmp_path / "metrics.json", "events": results / "history.jsonl"}
        return SimpleNamespace(
            reused=found.reused, receipt=SimpleNamespace(stage=stage, key=f"{stage}-key", seconds=1.5, outputs=outputs)
        )

    stages = {name: name for name in ("download", "train", "evaluate")}
    chain = SimpleNamespace(
        home=tmp_path / "home",
        world=World(load(), tmp_path / "home"),
        stages=stages,
        run=run,
        store=SimpleNamespace(path=lambda artifact: artifact),
    )
    found.chain, found.reused = chain, False
    return found


def job(**changes: Any) -> Any:
    return Job(0, "local", {}, {}, len(ACCURACIES), COST, **changes)


def against(*scores: Any, rule: Any = "median") -> Any:
    return Pruning(rule, 1, 0.0, tuple(dict(enumerate(curve, 1)) for curve in scores))


def test_a_trial_that_is_finished(bench: Any) -> None:
    found = perform(bench.chain, job(pruning=against([1, 2, 3, 4])))
    assert (found.end, found.accuracy, found.seconds, found.reused) == ("finished", 0.4, 3.0, False)
    assert found.curve == {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}
    assert found.keys == {"train": "train-key", "evaluate": "evaluate-key"}


def test_a_hopeless_one_is_stopped_at_the_epoch_where_it_falls_behind(bench: Any) -> None:
    found = perform(bench.chain, job(pruning=against([5, 10, 16, 30])))  # its own scores are 5, 10, 15, 20
    assert bench.heard == [1, 2, 3]
    assert (found.end, found.accuracy, found.curve) == ("stopped", None, {1: 0.1, 2: 0.2, 3: 0.3})
    assert "below the median 16.00" in found.reason


def test_epochs_without_evaluation_are_not_judged(bench: Any) -> None:
    bench.every = 2
    found = perform(bench.chain, job(pruning=against([99, 99, 99, 99])))
    assert bench.heard == [1, 2]
    assert found.curve == {2: 0.2}


def test_a_resumed_training_is_judged_with_the_epochs_of_before(bench: Any) -> None:
    bench.first = 3
    found = perform(bench.chain, job(pruning=against([0, 0, 16, 0])))
    assert bench.heard == [3]
    assert found.curve == {1: 0.1, 2: 0.2, 3: 0.3}


def test_the_last_epoch_is_never_wasted(bench: Any) -> None:
    bench.first = 4
    assert perform(bench.chain, job(deadline=time.time() - 1)).end == "finished"


def test_when_the_time_is_over_it_is_left_for_later(bench: Any) -> None:
    found = perform(bench.chain, job(deadline=time.time() - 1))
    assert (found.end, found.reason, bench.heard) == ("left", "the time was over", [1])


def test_an_interrupted_search_ends_its_trials(bench: Any) -> None:
    bench.before = lambda epoch: INTERRUPTED.set() if epoch == 2 else None
    found = perform(bench.chain, job())
    assert (found.end, bench.heard) == ("left", [1, 2])


def test_what_was_trained_before_costs_nothing(bench: Any) -> None:
    perform(bench.chain, job())
    bench.heard.clear()
    bench.reused = True
    found = perform(bench.chain, job(deadline=time.time() - 1))
    assert (found.end, found.reused, bench.heard) == ("finished", True, [])
    assert found.curve[4] == 0.4


def test_a_training_that_diverges_is_a_result(bench: Any) -> None:
    bench.error = UserError("epoch 4: the loss is nan")
    found = perform(bench.chain, job())
    assert (found.end, found.reason) == ("failed", "epoch 4: the loss is nan")


def test_trouble_that_may_pass_is_none(bench: Any) -> None:
    bench.error = Transient("killed")
    with pytest.raises(Transient):
        perform(bench.chain, job())


def test_a_curve_has_the_evaluated_epochs(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert curve_of(path) == {}
    path.write_text('{"epoch": 1}\n{"epoch": 2, "accuracy": 0.5}\n{"epoch": 3, "accuracy": null}\n')
    assert curve_of(path) == {2: 0.5}
