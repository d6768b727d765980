"""Two workers with a store each, one mirror, one server: each key is computed once, also when a worker is killed."""

import io
import itertools
import json
import os
import subprocess
import tarfile
import time
from hashlib import sha256
from typing import Any

import pytest

from tests.cluster import composed
from tests.cluster.conftest import WORKERS

RUNS = 9
KEYS = 3


def cut(archive: Any, path: Any, records: Any) -> Any:
    """The data set with fewer images, as the settings that name it."""
    with tarfile.open(archive) as whole, tarfile.open(path, "w:gz", compresslevel=1) as small:
        for member in whole:
            file = whole.extractfile(member)
            assert file is not None
            content = file.read()
            content = content[: records * 3073] if member.name.endswith(".bin") else content
            info = tarfile.TarInfo(member.name)
            info.size = len(content)
            small.addfile(info, io.BytesIO(content))
    return source(path)


def source(archive: Any) -> Any:
    return {"data__source": archive.as_uri(), "data__sha256": sha256(archive.read_bytes()).hexdigest()}


@pytest.fixture(scope="module")
def data(cluster: Any, small_archive: Any) -> Any:
    """The settings of the small data set; one worker has fetched it."""
    run = cluster.fire("download", **source(small_archive))
    assert cluster.wait([run], 240)[run]["state_name"] == "Completed", cluster.logs()
    return source(small_archive)


@pytest.fixture
def work(cluster: Any, data: Any, small_archive: Any) -> Any:
    """What there is to do, as many stage and settings as there are keys; the first takes longest."""
    trainings = [("train", {**data, "train__epochs": epochs}) for epochs in ("12", "1")]
    fetched = [cut(small_archive, cluster.base / f"{count}.tar.gz", 20 + count) for count in range(KEYS - 2)]
    return [*trainings, *(("download", settings) for settings in fetched)]


@pytest.mark.slow
@pytest.mark.mindspore
@pytest.mark.timeout(1200)
def test_every_key_is_computed_once_and_every_run_ends_well_though_a_worker_is_killed(cluster: Any, work: Any) -> None:
    begun = time.monotonic()
    order = list(itertools.islice(itertools.cycle(range(KEYS)), RUNS))
    fired = {cluster.fire(work[number][0], **work[number][1]): number for number in order}
    victim = worker_at_work(cluster)
    composed.kill(cluster.workers[victim])
    runs = cluster.wait(fired, 900)
    seconds = time.monotonic() - begun
    print(f"{RUNS} runs, {KEYS} keys, {victim} killed: {seconds:.0f} s, load {os.getloadavg()[1]:.1f}")
    assert {run["state_name"] for run in runs.values()} == {"Completed"}
    tasks = cluster.tasks(fired, "train") + cluster.tasks(fired, "download")
    computed = [fired[task["flow_run_id"]] for task in tasks if task["state_name"] == "Completed"]
    assert sorted(computed) == sorted(set(order))
    assert max(run["run_count"] for run in runs.values()) == 2
    seals = {stage: mirrored_seals(cluster, stage) for stage in ("train", "download")}
    assert len(seals["train"]) == 2
    assert len(seals["download"]) == 1 + KEYS - 2  # one was there before
    for worker, stage in itertools.product(WORKERS, seals):
        for path in (cluster.home(worker) / "receipts" / stage).glob("*.json"):
            assert json.loads(path.read_text())["seal"] in seals[stage]


def test_locks_are_gone_from_the_server_when_the_work_is_done(cluster: Any, data: Any) -> None:
    run = cluster.fire("train", **data, train__epochs="1")
    cluster.wait([run], 120)
    names = [limit["name"] for limit in cluster.ask("/v2/concurrency_limits/filter")]
    assert [name for name in names if name.startswith("atlasflow-")] == []


def test_a_schedule_makes_runs(cluster: Any) -> None:
    """Prefect 3.8.8's scheduler fails with SQLAlchemy 2.1, on any database."""
    deadline = time.monotonic() + 60
    wanted = {"flows": {"name": {"any_": ["maintenance"]}}, "flow_runs": {"state": {"name": {"any_": ["Scheduled"]}}}}
    while not cluster.ask("/flow_runs/filter", **wanted):
        assert time.monotonic() < deadline, (cluster.base / "services.log").read_text()[-3000:]
        time.sleep(1)


def test_commands_say_that_the_server_is_not_theirs_and_leave_it_running(cluster: Any) -> None:
    home = cluster.base / "person"
    home.mkdir()
    environment = cluster.places.environment("worker-1", home)
    for command, code in (("up", 0), ("status", 0), ("doctor", None), ("down", 0)):
        done = subprocess.run(
            [composed.BESIDE / "atlasflow", command],
            cwd=home, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert code in (None, done.returncode), done.stderr
        assert ("an outside server" if command == "doctor" else "not ours") in done.stdout
        assert environment["PREFECT_API_AUTH_STRING"] not in done.stdout + done.stderr
    assert cluster.api.get("/health").status_code == 200
    assert not (home / "services" / "prefect.json").exists()


def worker_at_work(cluster: Any) -> Any:
    """The worker on which a training has begun."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for worker in WORKERS:
            if any((cluster.home(worker) / "work").glob("train-*/results/*")):
                return worker
        time.sleep(0.1)
    raise AssertionError(f"no training began\n{cluster.logs()}")


def mirrored_seals(cluster: Any, stage: Any) -> Any:
    """The seals of a stage's receipts in the mirror."""
    seals = []
    for number, (key, _) in enumerate(cluster.bucket.list(f"store/receipts/{stage}/")):
        path = cluster.base / f"{stage}-{number}.json"
        cluster.bucket.get(key, path)
        seals.append(json.loads(path.read_text())["seal"])
    return seals
