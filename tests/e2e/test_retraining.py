"""Retraining from end to end: the first champion, nothing to do, an equal model, a person's word, and the way back."""

import json
import subprocess
import time
from typing import Any

import pytest

from infra.fleet import Fleet
from infra.settings import load
from infra.world import World
from tests.e2e.installation import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]

# Enough passes to beat the chain's two; on so few images any class may lose. Without robustness, whose stages would be
# shown as stale to the tests that share this home.
BETTER = ("--set", "train.epochs=12", "--set", "retrain.max_recall_drop=1", "--set", "retrain.robustness=false")
APPROVAL = ("--set", "retrain.approval=true")


def last_run(home: Any, *, name: str = "retrain") -> Any:
    """The newest run of a flow: the run itself, its tasks by name, and its artifacts by key."""
    ended = {"state": {"type": {"any_": ["COMPLETED"]}}}  # a schedule's runs to come would be newer
    (run, *_) = home.prefect("flow_runs", flows={"name": {"any_": [name]}}, flow_runs=ended, sort="START_TIME_DESC")
    wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = {item["name"]: item["state_name"] for item in home.prefect("task_runs", **wanted)}
    artifacts = {item["key"]: item["data"] for item in home.prefect("artifacts", **wanted)}
    return run, tasks, artifacts


def last_event(home: Any, kind: Any) -> Any:
    """The resource of the newest event of a kind, once the server has written what it heard."""
    wanted = {"event": {"name": [f"atlasflow.champion.{kind}"]}, "order": "DESC"}
    for _ in range(60):
        found = home.prefect("events", filter=wanted, limit=1)["events"]
        if found:
            return found[0]["resource"]["prefect.resource.id"]
        time.sleep(0.5)
    return None


def on_board(home: Any) -> Any:
    return World(load(), home.folder).board("laptop").state().active


def answer(home: Any, **said: Any) -> None:
    """Fill in the form of the run that waits for a person, as the Prefect UI does."""
    address = ""
    for _ in range(200):
        waiting = home.prefect("flow_runs", flow_runs={"state": {"type": {"any_": ["PAUSED"]}}})
        if waiting:
            address = f"flow_runs/{waiting[0]['id']}/resume"
            wrong = home.post(address, {"run_input": {"approve": "perhaps"}})
            assert wrong["status"] == "REJECT"
            if "perhaps" in json.dumps(wrong):  # else the form is still on its way to the server
                break
        time.sleep(0.5)
    done = home.post(address, {"run_input": said})
    assert done["status"] == "ACCEPT", done


def test_a_champion_is_made_and_challenged_for_a_reason_alone(made: Any) -> None:
    # The first one: the chain's own release, from the receipts that are there.
    said = made.atlasflow("retrain")
    first = made.champion()
    assert f"Promoted: release {first} is champion: there is no champion yet; accuracy" in said
    run, tasks, _ = last_run(made)
    assert run["name"].startswith("retrain lenet5-sample small.tar.gz #")
    assert {tasks[name] for name in ("download", "upload", "train", "evaluate", "export", "convert")} == {"Cached"}
    assert on_board(made) == first
    assert Fleet(made.folder).wanted()["laptop"] == first
    assert last_event(made, "promoted") == f"atlasflow.release.{first}"

    # Nothing to do.
    assert "Nothing to do: data, code and recipe are those of the champion" in made.atlasflow("retrain")
    run, tasks, artifacts = last_run(made)
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Nothing to do")
    assert tasks == {"download": "Cached", "check boards for drift": "Completed"}
    assert "| laptop | unknown |" in artifacts["retraining"]

    # A person's word, and an equal model.
    assert f"Not promoted: release {first} stays champion: McNemar's test: both classify" in made.atlasflow(
        "retrain", "--reason", "to be sure"
    )
    run, tasks, artifacts = last_run(made)
    assert run["state_name"] == "Not promoted"
    assert (tasks["train"], tasks["gate: accuracy"], tasks["gate: McNemar's test"]) == ("Cached", "Passed", "Refused")
    assert "- **request**: requested: to be sure" in artifacts["retraining"]
    assert "| 1 | 0." in artifacts["retraining"]


def test_a_better_model_is_promoted_by_a_person_and_taken_back(made: Any) -> None:
    made.atlasflow("retrain")
    first = made.champion()

    # A better one that nobody approves in time, and then somebody does.
    said = made.atlasflow("retrain", *BETTER, *APPROVAL, "--set", "retrain.approval_hours=0.0005")
    assert f"Not promoted: release {first} stays champion: nobody approved it within 0.0005 hours" in said
    assert last_run(made)[0]["state_name"] == "Not promoted"
    waiting = subprocess.Popen(
        [COMMAND, "retrain", "--reason", "it is good", *BETTER, *APPROVAL],
        cwd=made.elsewhere,
        env=made.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer(made, approve=True, who="Ada", reason="I looked")
        said, _ = waiting.communicate(timeout=120)
    finally:
        waiting.kill()
    made.said.append(said)
    second = made.champion()
    assert second != first
    assert f"Promoted: release {second} is champion: requested: it is good; accuracy" in said
    assert on_board(made) == second
    artifacts = last_run(made)[2]
    assert "| McNemar's test | yes |" in artifacts["retraining"]

    # Back.
    said = made.atlasflow("champion", "demote", "--reason", "trucks look like cars")
    assert f"release {first} is champion again, in place of {second}: trucks look like cars" in said
    assert (made.champion(), on_board(made)) == (first, first)
    assert last_event(made, "demoted") == f"atlasflow.release.{second}"
    kinds = [(event["kind"], event["who"]) for event in made.json("champion", "history")]
    assert [kind for kind, _ in kinds][-3:] == ["kept", "promoted", "demoted"]
    assert kinds[-2] == ("promoted", "Ada")

    # What was demoted does not come back by itself; garbage collection leaves both champions alone.
    said = made.atlasflow("retrain", *BETTER)
    assert "Nothing to do: the recipe changed" in said
    assert "but the same training lost on" in said
    assert "has no predecessor" in made.atlasflow("champion", "demote", code=2)
    made.atlasflow("gc")
    keys = json.loads((made.folder / "registry.json").read_text())["models"][first]["keys"]
    assert all((made.folder / "receipts" / stage / f"{key}.json").exists() for stage, key in keys.items())
    assert set(made.states().values()) == {"fresh"}
