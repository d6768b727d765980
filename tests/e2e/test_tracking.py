"""The chain's training in Aim."""

import json
import re
import time
from typing import Any

import httpx
import pytest

from infra.tracking import repository

pytestmark = pytest.mark.skipif(not repository.installed(), reason="Aim is not installed: make dev")


def test_the_training_is_in_aim_once_with_its_metrics_and_linked_from_the_report(made: Any) -> None:
    key = made.status()["train"]["key"]
    run = repository.run_of(made.folder, key)
    assert run is not None
    notes = list((made.folder / "tracking").glob("*.json"))
    made.atlasflow("run", "--stage", "train")  # reused, and so not tracked again
    assert (list((made.folder / "tracking").glob("*.json")), repository.run_of(made.folder, key)) == (notes, run)

    said = made.atlasflow("aim")
    found = re.search(r"(http://127\.0\.0\.1:\d+)(/\?token=\S+)", said)
    assert found is not None
    address, query = found.groups()
    assert re.search(r"It shows \d+ training", said)
    with httpx.Client(base_url=address, trust_env=False, timeout=30, follow_redirects=True) as client:
        assert client.get(f"/runs/{run}").status_code == 401
        assert client.get(query).status_code == 200
        page = client.get(f"/runs/{run}")
        assert "text/html" in page.headers["content-type"]
        deadline = time.monotonic() + 60  # Aim indexes what is new in the background
        while (info := client.get(f"/api/runs/{run}/info/")).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    found = info.json()
    metrics = {(metric["name"], metric["context"]["subset"]) for metric in found["traces"]["metric"]}
    train, test = {"loss", "learning_rate"}, {"accuracy", "evaluation_loss"}
    assert metrics == {(name, "train") for name in train} | {(name, "test") for name in test}
    assert found["params"]["hparams"]["epochs"] == 2
    assert found["params"]["training"]["key"] == key

    reports = made.prefect("artifacts", artifacts={"key": {"any_": ["report"]}})
    assert any(f"({address}/runs/{run})" in json.dumps(report["data"]) for report in reports)
