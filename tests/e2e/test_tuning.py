"""`atlasflow tune` with tiny trainings: killed and gone on with, found cached, and on a Dask cluster that is there."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.e2e.installation import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]
pytest.importorskip("optuna", reason="the extra `tuning` is not installed")
pytest.importorskip("prefect_dask", reason="the extra `tuning` is not installed")

# The first value is what the chain was trained with.
SPACE = ("tune", "--space", "train.learning_rate=0.01,0.02,0.05")
# On so few images any difference is to count; the boards are not asked.
EASY = [
    word
    for setting in ("significance=0.99", "max_recall_drop=1", "robustness=false", "rollout=none")
    for word in ("--set", f"retrain.{setting}")
]
CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def killed_in_its_first_training(home: Any) -> Any:
    """Start a search, wait for its first training, look at what it has open, and kill the command."""
    with subprocess.Popen(
        [COMMAND, *SPACE], cwd=home.elsewhere, env=home.environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        family = psutil.Process(process.pid)
        training = next(iter(trainings(family)))
        listening = [link.laddr.ip for link in family.net_connections("inet") if link.status == psutil.CONN_LISTEN]
        others = family.children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    _, alive = psutil.wait_procs(others, timeout=30)
    assert training in others
    assert not alive, "something outlived the command"
    return set(listening)


def trainings(family: Any) -> Any:
    """The training processes of a command, as soon as there is one; none when it ends before."""
    while family.is_running() and family.status() != psutil.STATUS_ZOMBIE:
        found = [child for child in family.children(recursive=True) if is_training(child)]
        if found:
            return found
    return []


def is_training(process: Any) -> Any:
    try:
        words = process.cmdline()
    except psutil.Error:  # it has ended
        return False
    return "train" in words and any(word.endswith("main.py") for word in words)


@pytest.fixture
def cluster(made: Any) -> Iterator[Any]:
    """The address of a scheduler with one worker, in processes of their own."""
    script = made.elsewhere / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, script],
        cwd=made.elsewhere,
        env=made.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate(timeout=60)
        script.unlink()


def rows(told: Any) -> Any:
    return {row["learning rate"]: row for row in told["trials"]}


def test_a_search_is_killed_goes_on_and_is_then_cached(made: Any) -> None:
    assert killed_in_its_first_training(made) <= {"127.0.0.1"}
    told = made.json(*SPACE)
    found = rows(told)
    assert set(found) == {"0.01", "0.02", "0.05"}
    assert found["0.01"]["state"] == "cached", "the chain has trained this"
    assert {found["0.02"]["state"], found["0.05"]["state"]} == {"finished"}
    scores = [float(row["score"]) for row in told["trials"]]
    assert scores == sorted(scores, reverse=True)
    for row in told["trials"]:
        cost = 0.35 * 4 * float(row["parameters (M)"]) + 0.15 * float(row["latency (ms)"])
        assert float(row["score"]) == pytest.approx(0.5 * float(row["accuracy (%)"]) - cost, abs=0.01)
    receipts = sorted((made.folder / "receipts" / "train").iterdir())
    again = made.json(*SPACE)
    assert again["trials"] == told["trials"]
    assert sorted((made.folder / "receipts" / "train").iterdir()) == receipts
    files = {path.name for path in (made.folder / "tuning" / told["study"]).iterdir()}
    assert files >= {"study.db", "trials.csv", "summary.md", "scores.png", "pareto.png", "effects.png"}
    with (made.folder / "tuning" / told["study"] / "trials.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == told["trials"]


def test_workers_of_a_cluster_use_the_same_receipts_and_train(made: Any, cluster: Any) -> None:
    told = made.json("tune", "--space", "train.learning_rate=0.01,0.03", "--cluster", cluster)
    found = rows(told)
    assert found["0.01"]["state"] == "cached"
    assert found["0.03"]["state"] == "finished"
    flow_run = made.last_run()[0]["flow_run"]
    tasks = made.prefect("task_runs", flow_runs={"id": {"any_": [flow_run]}})
    assert {task["state_name"] for task in tasks if task["name"].startswith("trial")} == {"Cached", "Completed"}
    artifacts = made.prefect("artifacts", flow_runs={"id": {"any_": [flow_run]}})
    assert {item["key"] for item in artifacts} >= {"tuning", "tuning-summary", "tuning-scores", "tuning-pareto"}
    (table,) = (item for item in artifacts if item["key"] == "tuning")
    assert json.loads(table["data"]) == told["trials"]


def test_the_winner_challenges_the_champion_with_the_training_of_its_trial(made: Any) -> None:
    if made.champion() is None:
        made.atlasflow("retrain")
    first = made.champion()
    told = made.json(*SPACE, "--promote", *EASY)
    winner = told["trials"][0]
    study = f"the best trial of the study {told['study']}, number {winner['trial']}, has the score {winner['score']}"
    second = made.champion()
    assert f"; Promoted: release {second} is champion: " in told["said"]
    assert f"; requested: {study}; accuracy" in told["said"]
    assert second != first
    last = made.json("champion", "history")[-1]
    assert (last["kind"], last["about"], last["who"]) == ("promoted", second, "tune")
    ended = {"state": {"type": {"any_": ["COMPLETED"]}}}  # a schedule's runs to come would be newer
    (run, *_) = made.prefect(
        "flow_runs", flows={"name": {"any_": ["retrain"]}}, flow_runs=ended, sort="START_TIME_DESC"
    )
    tasks = made.prefect("task_runs", flow_runs={"id": {"any_": [run["id"]]}})
    assert {task["state_name"] for task in tasks if task["name"] == "train"} == {"Cached"}
    made.atlasflow("champion", "demote", "--reason", "the end of the test", "--set", "retrain.rollout=none")
    assert made.champion() == first
