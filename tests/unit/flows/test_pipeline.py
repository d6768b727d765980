import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from flows import pipeline, stages
from flows.pipeline import run_stages
from flows.requests import RunRequest, StageRequest
from infra.errors import GateFailed, Transient, UserError
from infra.store.runs import Runs
from tasks.pipeline import EVERY_NAME, NAMES
from tasks.reports import run as run_report


@pytest.fixture
def flow(small: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pipeline's own work without a Prefect server: tasks are plain calls, reports are counted."""
    seen = SimpleNamespace(gates=[], reports=[])
    chains = []

    def open_chain(profile: Any, overrides: Any, reporter: Any, selected: Any) -> Any:
        chains.append(small.chain(profile, overrides, selected=selected))
        return chains[-1]

    def pass_gate(name: Any, decision: Any) -> None:
        seen.gates.append((name, decision.ok))
        if not decision.ok:
            raise GateFailed(decision.reason)

    monkeypatch.setattr(pipeline, "open_chain", open_chain)
    monkeypatch.setattr(pipeline, "run_stage", lambda chain, stage, force, title: chain.run(stage, force=force))
    monkeypatch.setattr(pipeline, "pass_gate", pass_gate)
    monkeypatch.setattr(run_report, "publish", lambda chain, record: seen.reports.append(record))

    def run(**request: Any) -> Any:
        run_stages(RunRequest(**request))
        return seen

    counted: Any = run
    counted.seen = seen
    return counted


def outcomes(small: Any) -> Any:
    return {item.stage: item.outcome for item in Runs(small.folder).latest(1)[0].stages}


def test_a_whole_run_is_recorded_and_reported(flow: Any, small: Any) -> None:
    seen = flow()
    assert outcomes(small) == dict.fromkeys(NAMES, "ran")
    assert seen.gates == [("evaluate", True), ("convert", True)]
    assert len(seen.reports) == 1
    flow()
    assert outcomes(small) == dict.fromkeys(NAMES, "reused")


@pytest.mark.parametrize(("stages", "name"), [(("train",), "named"), ((), "named 90.0 %")])
def test_a_run_is_tagged_and_named_by_what_it_reached(
    flow: Any, monkeypatch: pytest.MonkeyPatch, stages: tuple[str, ...], name: str
) -> None:
    flow()
    told: list[Any] = []
    monkeypatch.setattr(pipeline, "flow_run", SimpleNamespace(id="f00d", name="named"))
    monkeypatch.setattr(pipeline, "rename", lambda name, tags: told.append((name, tags)))
    flow(stages=stages)
    assert told == [(name, ("lenet5-sample", "local"))]


def test_a_part_uses_the_receipts_of_the_others(flow: Any, small: Any) -> None:
    flow()
    seen = flow(stages=("export",), force=("export",))
    assert outcomes(small) == {"export": "ran"}
    assert seen.gates[2:] == [("evaluate", True)], "the gate stands before export"
    flow(stages=("train",))
    assert len(seen.gates) == 3, "and behind train"


def test_a_stage_alone_names_what_is_missing(flow: Any, small: Any) -> None:
    with pytest.raises(UserError, match="export needs the output of evaluate"):
        flow(stages=("export",))
    assert outcomes(small) == {"export": "failed"}


def test_a_closed_gate_stops_the_chain_and_the_report_is_left_all_the_same(flow: Any, small: Any) -> None:
    small.accuracy = 0.1
    with pytest.raises(GateFailed, match="is below"):
        flow()
    assert list(outcomes(small)) == list(NAMES[:4])
    assert len(flow.seen.reports) == 1


def test_a_gate_s_stop_is_a_state_of_its_own(flow: Any, small: Any) -> None:
    small.accuracy = 0.1
    state = pipeline.run_to_end(RunRequest())
    assert state is not None
    assert (state.name, state.type.value) == ("Stopped by a gate", "FAILED")
    assert "is below" in str(state.message)
    small.accuracy = 0.9
    assert pipeline.run_to_end(RunRequest(force=("evaluate",))) is None


def test_a_failed_stage_is_recorded_with_its_reason_and_key(flow: Any, small: Any) -> None:
    small.broken["train"] = Transient("the network is down")
    with pytest.raises(Transient):
        flow()
    last = Runs(small.folder).latest(1)[0].stages[-1]
    assert (last.stage, last.outcome, last.reason) == ("train", "failed", "the network is down")
    assert len(last.key) == 64
    small.broken.clear()
    flow()
    assert outcomes(small)["download"] == "reused"


def test_settings_reach_the_stages(flow: Any, small: Any) -> None:
    flow()
    flow(settings={"train.epochs": "3"})
    assert outcomes(small)["upload"] == "reused"
    assert outcomes(small)["train"] == "ran"


@pytest.mark.parametrize("request_", [{"stages": ["trian"]}, {"force": ["trian"]}])
def test_an_unknown_stage_is_refused_before_anything_runs(flow: Any, small: Any, request_: Any) -> None:
    with pytest.raises(ValidationError, match="'download', 'upload'"):
        flow(**request_)
    assert small.ran == []


def test_stages_beside_the_chain_run_when_they_are_named_whatever_the_gates_say(flow: Any, small: Any) -> None:
    flow()
    small.accuracy = 0.1
    with pytest.raises(GateFailed):
        flow(stages=("evaluate",), force=("evaluate",))
    seen = flow(stages=("robustness", "corrupt"))
    assert outcomes(small) == {"corrupt": "ran", "robustness": "ran"}
    assert seen.gates[-1] == ("evaluate", False)  # of the run before
    flow.seen.gates.clear()
    flow(stages=("robustness",))
    assert outcomes(small) == {"robustness": "reused"}
    assert not flow.seen.gates


def test_a_request_knows_its_fields() -> None:
    with pytest.raises(ValidationError, match="stage"):
        RunRequest(stage=["train"])  # type: ignore[call-arg]
    request = RunRequest(stages=["train"], settings={"train.epochs": "3"})
    assert RunRequest.model_validate_json(request.model_dump_json()) == request
    assert set(json.loads(request.model_dump_json())) == {
        *("profile", "settings", "stages", "force"),
        *("recipe", "epochs", "learning_rate", "seed"),
    }


def test_every_stage_has_a_flow_of_its_own() -> None:
    assert tuple(stages.STAGE_FLOWS) == EVERY_NAME
    for name, flow in stages.STAGE_FLOWS.items():
        assert flow.name == name
        assert flow.description
        assert set(flow.parameters.properties) == {"request"}


@pytest.mark.parametrize("name", ["download", "deploy"])
def test_a_stages_flow_runs_that_stage_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asked: list[RunRequest] = []
    monkeypatch.setattr(stages, "run_to_end", asked.append)
    stages.STAGE_FLOWS[name].fn(StageRequest(profile="twin", force=True))
    assert asked == [RunRequest(profile="twin", stages=(name,), force=(name,))]
