"""Two workers with a store each, one mirror, one server: each key is computed once, also when a worker is killed."""

import json
import os
import subprocess
import time
from hashlib import sha256

import pytest

from tests.cluster import composed
from tests.cluster.conftest import WORKERS

RUNS = int(os.environ.get("ATLASFLOW_TEST_CLUSTER_RUNS", "12"))
KEYS = max(2, RUNS // 5)
# The first run: long enough to be killed in the middle.
LONG = "40"


@pytest.fixture(scope="module")
def data(cluster, small_archive):
    """The settings of the small data set; one worker has fetched it."""
    settings = {
        "data__source": small_archive.as_uri(),
        "data__sha256": sha256(small_archive.read_bytes()).hexdigest(),
    }
    run = cluster.fire("download", **settings)
    assert cluster.wait([run], 120)[run]["state_name"] == "Completed", cluster.logs()
    return settings


@pytest.mark.slow
@pytest.mark.mindspore
def test_every_key_is_computed_once_and_every_run_ends_well_though_a_worker_is_killed(cluster, data):
    begun = time.monotonic()
    epochs = [LONG, *(str(1 + number % (KEYS - 1)) for number in range(RUNS - 2)), LONG]
    fired = {cluster.fire("train", **data, train__epochs=wanted): wanted for wanted in epochs}
    victim = worker_at_work(cluster)
    composed.kill(cluster.workers[victim])
    runs = cluster.wait(fired, 60 + 90 + 15 * RUNS)
    seconds = time.monotonic() - begun
    print(f"{RUNS} runs, {KEYS} keys, {victim} killed: {seconds:.0f} s, load {os.getloadavg()[1]:.1f}")
    assert {run["state_name"] for run in runs.values()} == {"Completed"}
    computed = [task for task in cluster.tasks(fired, "train") if task["state_name"] == "Completed"]
    assert sorted(fired[task["flow_run_id"]] for task in computed) == sorted(set(epochs))
    assert max(run["run_count"] for run in runs.values()) == 2
    receipts = dict(cluster.bucket.list("store/receipts/train/"))
    assert len(receipts) == KEYS
    for worker in WORKERS:
        for path in (cluster.home(worker) / "receipts" / "train").glob("*.json"):
            assert json.loads(path.read_text())["seal"] in mirrored_seals(cluster, receipts)


def test_locks_are_gone_from_the_server_when_the_work_is_done(cluster, data):
    run = cluster.fire("train", **data, train__epochs="1")
    cluster.wait([run], 120)
    names = [limit["name"] for limit in cluster.ask("/v2/concurrency_limits/filter")]
    assert [name for name in names if name.startswith("atlasflow-")] == []


def test_a_schedule_makes_runs(cluster):
    """Prefect 3.8.8's scheduler fails with SQLAlchemy 2.1, on any database."""
    deadline = time.monotonic() + 60
    wanted = {"flows": {"name": {"any_": ["maintenance"]}}, "flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}}}
    while not cluster.ask("/flow_runs/filter", **wanted):
        assert time.monotonic() < deadline, (cluster.base / "services.log").read_text()[-3000:]
        time.sleep(1)


def test_commands_say_that_the_server_is_not_theirs_and_leave_it_running(cluster):
    home = cluster.base / "person"
    home.mkdir()
    environment = cluster.places.environment("worker-1", home)
    for command, code in (("up", 0), ("status", 0), ("doctor", None), ("down", 0)):
        done = subprocess.run(
            [composed.BESIDE / "atlasflow", command],
            cwd=home, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert code in (None, done.returncode), done.stderr
        assert "not ours" in done.stdout
        assert environment["PREFECT_API_AUTH_STRING"] not in done.stdout + done.stderr
    assert cluster.api.get("/health").status_code == 200
    assert not (home / "services" / "prefect.json").exists()


def worker_at_work(cluster):
    """The worker on which a training has begun."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for worker in WORKERS:
            if any((cluster.home(worker) / "work").glob("train-*/results/*")):
                return worker
        time.sleep(0.1)
    raise AssertionError(f"no training began\n{cluster.logs()}")


def mirrored_seals(cluster, receipts):
    seals = set()
    for number, key in enumerate(receipts):
        path = cluster.base / f"receipt-{number}.json"
        cluster.bucket.get(key, path)
        seals.add(json.loads(path.read_text())["seal"])
    return seals
