"""What changes decides what runs: settings, parts of the chain, gates."""

import json
from typing import Any

import pytest

from tests.e2e.installation import PYTHON, STAGES

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]

MORE_MOMENTUM = ("--set", "train.momentum=0.8")


def test_one_training_parameter_reruns_training_and_what_follows(made: Any) -> None:
    assert "settings momentum: 0.9 → 0.8" in made.atlasflow("why", "train", *MORE_MOMENTUM)
    assert "is stale" in made.atlasflow("why", "deploy", *MORE_MOMENTUM)
    made.atlasflow("run", *MORE_MOMENTUM)
    _, outcomes = made.last_run()
    assert outcomes == dict.fromkeys(STAGES, "ran") | {"download": "reused", "upload": "reused"}
    states = made.states()
    assert states.pop("deploy") == "stale", "the board holds what was deployed last"
    assert set(states.values()) == {"fresh"}, "the receipts of the other training are still there"
    assert "deploy    starts: board laptop was given " in made.atlasflow("run")
    assert set(made.states().values()) == {"fresh"}


def test_a_part_of_the_chain_and_a_forced_stage(made: Any) -> None:
    made.atlasflow("run", "--from", "export", "--to", "convert", "--force", "convert")
    record, outcomes = made.last_run()
    assert outcomes == {"export": "reused", "convert": "ran"}
    assert record["stages"][-1]["reason"] == "asked for with --force"
    assert made.states()["publish"] == "fresh", "the forced stage made the same bytes"


def test_a_stage_without_its_input_names_what_is_missing(made: Any) -> None:
    said = made.atlasflow("run", "--stage", "convert", "--set", "train.momentum=0.123", code=2)
    assert "convert needs the output of export, which is missing" in said
    assert "start earlier with --from" in said
    row = made.status("--set", "train.momentum=0.123")["convert"]
    assert row["state"] in ("stale", "failed")
    assert row["key"] is None


def test_a_gate_stops_the_chain_even_when_every_stage_is_fresh(made: Any) -> None:
    said = made.atlasflow("run", "--set", "evaluate.min_accuracy=0.99", code=3)
    assert "gate evaluate: accuracy" in said
    assert "is below evaluate.min_accuracy 0.9900" in said
    record, outcomes = made.last_run()
    assert list(outcomes) == ["download", "upload", "train", "evaluate"]
    (run,) = made.prefect("flow_runs", flow_runs={"id": {"any_": [record["flow_run"]]}})
    assert run["state_type"] == "FAILED"


def test_a_stage_has_a_flow_of_its_own(made: Any) -> None:
    program = (
        "import os; from infra.home import home; from infra.settings import load;"
        "from infra.prefect_server.server import environment; from infra.services import Services;"
        "os.environ.update(environment(Services(home()), home(), load().prefect));"
        "from flows.stages import STAGE_FLOWS; STAGE_FLOWS['evaluate']()"
    )
    made.atlasflow("up")
    finished = made.start([PYTHON, "-c", program])
    assert finished.returncode == 0, finished.stderr
    record, outcomes = made.last_run()
    assert outcomes == {"evaluate": "reused"}
    (run,) = made.prefect("flow_runs", flow_runs={"id": {"any_": [record["flow_run"]]}})
    assert json.dumps(run["parameters"]).find("secret") == -1
