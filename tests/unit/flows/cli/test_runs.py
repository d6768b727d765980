import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from infra.errors import UserError
from infra.store.runs import Runs, StageRecord


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app.app, ["runs", *words])


@pytest.fixture
def recorded(small: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run of all stages, with other settings, nine days ago; and one that failed just now."""
    monkeypatch.setattr("flows.cli.runs.open_chain", small.chain)
    chain = small.make_all()
    old = Runs(small.folder, lambda: time.time() - 9 * 86_400)
    whole = old.begin("local")
    whole.settings = {"train.epochs": "3"}
    whole.stages = [StageRecord(name, receipt.key, "ran", "", 2.0) for name, receipt in chain.known.items()]
    old.save(whole)
    broken = Runs(small.folder).begin("local")
    broken.stages = [StageRecord("download", "", "failed", "the network is down", 0.0)]
    Runs(small.folder).save(broken)
    return whole.id, broken.id


def test_recent_runs_come_first_with_outcome_duration_and_accuracy(recorded: Any) -> None:
    newest, oldest = json.loads(invoke("--json").stdout)
    assert (newest["run"], oldest["run"]) == (recorded[1], recorded[0])
    assert (newest["outcome"], newest["accuracy"]) == ("failed at download", None)
    assert (oldest["outcome"], oldest["accuracy"], oldest["seconds"]) == ("done", 0.9, 16.0)
    assert oldest["settings"] == {"train.epochs": "3"}


def test_the_table_has_a_line_a_run(recorded: Any) -> None:
    lines = invoke().stdout.splitlines()
    assert len(lines) == 3
    assert "90.00%" in lines[2]
    assert "train.epochs=3" in lines[2]


@pytest.mark.parametrize(("last", "count"), [("1", 1), ("7d", 1), ("2w", 2), ("12h", 1), ("90min", 1), ("0", 0)])
def test_runs_are_chosen_by_number_or_time(recorded: Any, last: str, count: int) -> None:
    assert len(json.loads(invoke("--last", last, "--json").stdout)) == count


def test_another_word_is_no_span(recorded: Any) -> None:
    assert isinstance(invoke("--last", "week").exception, UserError)
