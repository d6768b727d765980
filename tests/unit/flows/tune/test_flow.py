"""The flow around a search: which study it is, what is left behind, and who challenges the champion."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Completed

from flows.requests import TuneRequest
from flows.tune import flow
from infra.errors import GateFailed, Refused, UserError
from infra.settings import load
from tasks.tune.publish import write_files
from tasks.tune.trial import Cost, Outcome
from tests.unit.tasks.doubles import Lines

pytest.importorskip("optuna", reason="the extra `tuning` is not installed")

INGREDIENTS = {"inputs": {"data": "d"}, "producer": {"name": "p"}, "tools": {"mindspore": "2"}}
SPACE = {"train.learning_rate": "0.01,0.1", "train.seed": "1,2"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The flow's own work without a server: a sweep finishes `bench.count` trials, the later the better."""
    found = SimpleNamespace(
        count=3, ran=[], sweeps=[], challenges=[], published=[], error=None, lines=Lines(), data=INGREDIENTS
    )

    class SearchRun:
        def __init__(
            self,
            chain: Any,
            request: TuneRequest,
            study: Any,
            record: Any,
            reporter: Any,
            *,
            limit: Any,
            deadline: Any,
        ) -> None:
            found.sweeps.append((limit, deadline))
            self.study = study

        def run(self) -> None:
            for number in range(found.count):
                asked = self.study.ask()
                outcome = Outcome("finished", accuracy=number / 10, curve={1: number / 10})
                self.study.note(replace(asked, spec={"epochs": 3}, cost=Cost(1000, 0.004, 1.0), outcome=outcome))
            if found.error:
                raise found.error

    def open_chain(profile: Any, overrides: Any, _reporter: Any) -> Any:
        look = SimpleNamespace(ingredients=found.data)
        return SimpleNamespace(
            home=tmp_path, settings=load(profile, overrides), stages={"train": None}, look=lambda stage: look
        )

    def retrain(request: Any, *, return_state: Any) -> Any:
        assert return_state
        found.challenges.append(request)
        return Completed(name="Promoted", message="it is champion", data="as a flow has it")

    monkeypatch.setattr(flow, "SearchRun", SearchRun)
    monkeypatch.setattr(flow, "open_chain", open_chain)
    monkeypatch.setattr(flow, "run_one", lambda chain, name, record: found.ran.append(name))
    monkeypatch.setattr(flow, "publish", lambda *result: found.published.append(result))
    monkeypatch.setattr(flow, "retrain", retrain)
    monkeypatch.setattr(flow, "FlowReporter", lambda inner: found.lines)
    found.tune = lambda **request: flow._tune(TuneRequest(**{"space": SPACE, **request}))
    found.folder = tmp_path / "tuning"
    return found


def test_a_search_leaves_its_files_and_names_the_best(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "publish", write_files)
    state = bench.tune()
    assert state.message == f"{state.data}: trial 2 has the best score, {50 * 0.2 - 0.0014 - 0.15:.2f}"
    assert {path.name for path in (bench.folder / state.data).iterdir()} >= {"study.db", "trials.csv", "summary.md"}
    assert (bench.ran, bench.challenges) == (["download"], [])


def test_the_same_search_is_the_same_study_and_other_data_is_not(bench: Any) -> None:
    first = bench.tune().data
    bench.count = 0
    assert bench.tune(trials=9, minutes=5).data == first
    bench.count = 3
    bench.data = {**INGREDIENTS, "inputs": {"data": "other"}}
    assert bench.tune().data != first
    assert bench.tune(settings={"train.epochs": "2"}).data != first


def test_a_name_of_one_s_own_is_kept_from_another_search(bench: Any) -> None:
    assert bench.tune(study="mine").data == "mine"
    with pytest.raises(UserError, match="another seed"):
        bench.tune(study="mine", seed=2)


@pytest.mark.parametrize(
    ("request_", "limit"),
    [
        ({}, None),
        ({"trials": 7}, 7),
        ({"search": "random"}, 20),
        ({"search": "tpe", "minutes": 3}, None),
        ({"search": "tpe", "minutes": 3, "trials": 2}, 2),
    ],
)
def test_the_budget(bench: Any, request_: Any, limit: Any) -> None:
    bench.tune(**request_)
    ((found, deadline),) = bench.sweeps
    assert found == limit
    assert (deadline is not None) is ("minutes" in request_)


def test_a_training_elsewhere_needs_its_data_there(bench: Any) -> None:
    bench.tune(profile="twin")
    assert bench.ran == ["download", "upload"]


def test_the_winner_challenges_the_champion_when_asked_to(bench: Any) -> None:
    state = bench.tune(promote=True, settings={"train.epochs": "2"})
    (request,) = bench.challenges
    assert request.settings.keys() == {"train.epochs", "train.recipe", "train.learning_rate", "train.seed"}
    assert (request.settings["train.epochs"], request.settings["train.recipe"]) == ("2", "lenet5-sample")
    assert f"the best trial of the study {state.data}, number 2" in request.reason
    assert state.message.endswith("Promoted: it is champion")


def test_without_a_finished_trial_there_is_no_winner(bench: Any) -> None:
    bench.count = 0
    with pytest.raises(GateFailed, match=r"no trial of grid-.* is finished"):
        bench.tune(promote=True)
    assert bench.challenges == []


def test_what_was_found_before_a_failure_is_left_all_the_same(bench: Any) -> None:
    bench.error = Refused("the disk is full")
    with pytest.raises(Refused):
        bench.tune(study="mine")
    ((trials, _, name, folder),) = bench.published
    assert (len(trials), name, folder) == (3, "mine", bench.folder / "mine")
