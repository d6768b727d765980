"""Trainings in a real Aim repository, read back through Aim's own SDK in a process of its own."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.errors import AtlasFlowError
from infra.services import Services
from infra.settings import TrackingSettings
from infra.tracking import repository
from infra.tracking.repository import Training
from infra.web.access import token_of, with_token
from tests.processes import children

KEY = "ab" * 32
BEGUN = 1_700_000_000.0
READER = """
import json, sys
from aim import Repo
Repo.from_path(sys.argv[1])._recreate_index()  # which Aim's pages do otherwise
found = {}
for run in Repo(sys.argv[1]).iter_runs():
    metrics = []
    for metric in run.metrics():
        table = metric.dataframe()
        values = [table[column].tolist() for column in ("step", "value", "epoch")]
        metrics.append([metric.name, metric.context.to_dict(), *values])
    about = {"name": run.name, "experiment": run.experiment, "active": run.active}
    about |= {"begun": run.creation_time, "seconds": run.duration}
    found[run.hash] = {**about, "parameters": run[...], "metrics": sorted(metrics, key=str)}
print(json.dumps(found))
"""

needs_aim = pytest.mark.skipif(not repository.installed(), reason="Aim is not installed: make dev")


def runs(home: Any) -> Any:
    """Everything that Aim has, by its run's name."""
    done = subprocess.run(
        [sys.executable, "-c", READER, home / "tracking"], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def training(tmp_path: Path) -> Any:
    steps = "step,epoch,loss,learning_rate\n1,1,2.5,0.1\n2,1,2.25,0.1\n3,2,2,0.05\n4,2,1.5,0.05\n"
    history = "epoch,loss,accuracy,evaluation_loss,learning_rate\n1,2.375,,,0.1\n2,1.75,0.5,1.625,0.05\n"
    (tmp_path / "steps.csv").write_text(steps)
    (tmp_path / "history.csv").write_text(history)
    hparams = {"network": "lenet5", "epochs": 2, "milestones": [], "learning_rate": 0.1, "crop": True}
    parameters = {"hparams": hparams, "training": {"key": KEY, "emulated": False}}
    return Training(
        KEY, "lenet5", "lenet5 abab", parameters, tmp_path / "history.csv", tmp_path / "steps.csv", BEGUN, 90.5
    )


@needs_aim
@pytest.mark.service
def test_a_training_is_written_once_with_its_metrics_and_shown(
    training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_MINE", "nobody-may-see-this")
    home = tmp_path / "home"
    assert repository.run_of(home, KEY) is None
    assert repository.write(home, training)
    assert not repository.write(home, training)
    found = runs(home)
    assert list(found) == [repository.run_of(home, KEY)]
    [run] = found.values()
    assert (run["name"], run["experiment"], run["active"]) == ("lenet5 abab", "lenet5", False)
    assert (run["begun"], run["seconds"]) == (BEGUN, 90.5)
    assert run["parameters"] == training.parameters
    train, test = {"subset": "train"}, {"subset": "test"}
    assert run["metrics"] == [
        ["accuracy", test, [4], [0.5], [2]],
        ["evaluation_loss", test, [4], [1.625], [2]],
        ["learning_rate", train, [1, 2, 3, 4], [0.1, 0.1, 0.05, 0.05], [1, 1, 2, 2]],
        ["loss", train, [1, 2, 3, 4], [2.5, 2.25, 2, 1.5], [1, 1, 2, 2]],
    ]
    written = b"".join(path.read_bytes() for path in (home / "tracking").rglob("*") if path.is_file())
    assert b"nobody-may-see-this" not in written

    services = Services(home)
    settings = TrackingSettings()
    assert services.start(repository.pages(services, home, settings))
    try:
        page = repository.page(services, home, settings, KEY)
        assert page == f"{repository.address(services, settings)}/runs/{repository.run_of(home, KEY)}"
        with httpx.Client(trust_env=False, timeout=30, follow_redirects=True) as client:
            refused = client.delete(page.replace("/runs/", "/api/runs/"))
            assert (refused.status_code, client.get(page).status_code) == (401, 401)
            opened = with_token(repository.address(services, settings), token_of(home))
            assert "text/html" in client.get(opened).headers["content-type"]
            assert "text/html" in client.get(page).headers["content-type"]
            info = client.get(page.replace("/runs/", "/api/runs/") + "/info/").json()
            assert info["params"]["hparams"]["network"] == "lenet5"
            foreign = client.delete(page.replace("/runs/", "/api/runs/"), headers={"Origin": "https://other.example"})
            assert foreign.status_code == 403
            assert "access-control-allow-origin" not in foreign.headers
    finally:
        assert services.stop(repository.NAME)


@pytest.mark.program
@needs_aim
def test_what_a_killed_writer_left_is_replaced(training: Any, tmp_path: Path) -> None:
    """It is killed while it waits for the steps, once Aim has named its run."""
    home, note = tmp_path / "home", tmp_path / "home" / "tracking" / f"{KEY}.json"
    whole = training.steps.read_text()
    training.steps.unlink()
    os.mkfifo(training.steps)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(repository.write, home, training)
        while not note.exists() and not writing.done():
            time.sleep(0.02)
        for writer in children(str(repository.WRITER)):
            writer.kill()
        with pytest.raises(AtlasFlowError, match="Aim cannot write the training"):
            writing.result()
    assert repository.run_of(home, KEY) is None
    left = json.loads(note.read_text())
    assert left["whole"] is False
    training.steps.unlink()
    training.steps.write_text(whole)
    assert repository.write(home, training)
    found = runs(home)
    assert list(found) == [repository.run_of(home, KEY)]
    assert left["run"] not in found


def test_the_page_of_a_training_that_is_not_tracked_is_unknown(tmp_path: Path) -> None:
    services = Services(tmp_path)
    assert repository.page(services, tmp_path, TrackingSettings(), KEY) is None
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking" / f"{KEY}.json").write_text('{"run": "0123", "whole": false}')
    assert repository.page(services, tmp_path, TrackingSettings(), KEY) is None
    (tmp_path / "tracking" / f"{KEY}.json").write_text('{"run": "0123", "whole": true}')
    assert repository.page(services, tmp_path, TrackingSettings(port=4711), KEY) == "http://127.0.0.1:4711/runs/0123"


def test_a_writer_that_says_nothing_is_an_error(training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Path(tmp_path, "silent.py")
    writer.write_text("raise SystemExit(3)")
    monkeypatch.setattr(repository, "WRITER", writer)
    with pytest.raises(AtlasFlowError, match="it ended with code 3"):
        repository.write(tmp_path / "home", training)
