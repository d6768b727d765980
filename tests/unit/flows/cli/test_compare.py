"""`atlasflow compare` over trainings as values; the arithmetic is that of `tasks/reports`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from infra.store.runs import Runs, StageRecord
from infra.tracking.repository import Note
from tasks.engine.diff import Difference
from tasks.reports import training_comparison
from tasks.reports.class_gain import ClassGain
from tasks.reports.training_comparison import Training, TrainingComparison


@pytest.fixture
def compared(small: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Two names of one evaluated training, recorded in a run; returns what `compare` prints for both."""
    chain = small.make_all()
    monkeypatch.setattr("flows.cli.compare.open_chain", small.chain)
    record = Runs(small.folder).begin("local")
    record.flow_run = "f00d"
    record.stages = [StageRecord("train", chain.known["train"].key, "ran", "", 2.0)]
    Runs(small.folder).save(record)
    Note("abc", is_complete=True).write(small.folder / "tracking" / f"{chain.known['train'].key}.json")
    gains = (ClassGain("cat", 50, 0.5, 0.9, 0.2, 0.6),)

    def find(_: Any, name: str) -> Training:
        evaluated = chain.known["evaluate"] if name == "one" else None
        return Training(name, chain.known["train"], ({"epoch": "1"},), evaluated)

    def compare(_: Any, first: Training, second: Training) -> TrainingComparison:
        return TrainingComparison(first, second, (Difference(("settings", "epochs"), 3, 5),), gains[0], gains)

    monkeypatch.setattr(training_comparison, "find_training", find)
    monkeypatch.setattr(training_comparison, "compare", compare)
    monkeypatch.setattr(training_comparison, "draw", lambda found, picture: picture.write_bytes(b"png"))

    def invoke(*words: str) -> str:
        done = CliRunner().invoke(app.app, ["compare", "one", "two", "-o", str(tmp_path / "two.png"), *words])
        assert done.exit_code == 0, done.exception
        return done.stdout

    return invoke


def test_settings_figures_gains_and_links_are_shown(compared: Any) -> None:
    printed = compared()
    lines = [line.split() for line in printed.splitlines()]
    assert lines[0] == ["settings", "epochs:", "3", "→", "5"]
    assert ["accuracy", "90.00%"] in lines
    assert ["epochs", "1", "1"] in lines
    assert ["cat", "50", "50.00%", "90.00%", "+40.00", "*", "+20.00", "…", "+60.00"] in lines
    assert any(line[:3] == ["one", "in", "Prefect"] and line[3].endswith("/runs/flow-run/f00d") for line in lines)
    assert any(line[:3] == ["two", "in", "Aim"] and line[3].endswith("/runs/abc") for line in lines)


def test_programs_get_the_same_as_json(compared: Any) -> None:
    told = json.loads(compared("--json"))
    assert told["figures"][0]["accuracy"] == 0.9
    assert told["figures"][1]["accuracy"] is None
    assert told["gains"][0]["high"] == 0.6
