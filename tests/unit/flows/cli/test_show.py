import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from infra.store.receipts import Receipt
from tasks.engine.diff import Difference
from tasks.reports import inspection, training_comparison
from tasks.reports.class_gain import ClassGain
from tasks.reports.costs import Network, TrainedNetwork
from tasks.reports.steps import LayerTime, RateRange, StepTimes
from tasks.reports.training_comparison import Training, TrainingComparison

NETWORK = {
    "network": "lenet5",
    "arrays": [{"name": "fc1.bias", "shape": [120], "size": 120}],
    "layers": [{"name": "fc3", "kind": "Dense", "shape": [1, 10], "parameters": 850, "multiply_adds": 840}],
    "parameters": 61_984,
    "multiply_adds": 651_720,
}
TIMES = {"mean": 0.9, "median": 0.85, "p10": 0.8, "p90": 1.0, "p99": 1.5, "pinned": True}
COSTS = {
    **{name: value for name, value in NETWORK.items() if name not in ("network", "arrays")},
    "size_mb": 0.247936,
    "latency_ms": TIMES,
    "onnx": {"size_mb": 0.25, "latency_ms": TIMES},
    "accuracy": 0.66,
    "images": 10_000,
    "score": 32.78,
}


@pytest.fixture
def atlasflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: Any, code: int = 0) -> Any:
        result = CliRunner().invoke(app.app, list(map(str, arguments)))
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_schedules_become_a_table_and_a_picture(atlasflow: Any, tmp_path: Path) -> None:
    picture = tmp_path / "rates.png"
    printed = atlasflow("show", "schedules", "constant", "square", "--set", "train.learning_rate=0.1", "-o", picture)
    lines = [line.split() for line in printed.splitlines()]
    assert ["constant", *["0.100000"] * 6] in lines
    assert next(line for line in lines if line[0] == "square")[1:4] == ["0.100000", "0.056250", "0.025000"]
    assert "46,860 steps, 1,562 an epoch" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_samples_and_history_become_tables(atlasflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        inspection, "samples", lambda chain, part, count, picture: [(0, f"{part} {count} {picture.name}")]
    )
    assert "train 9 samples.png" in atlasflow("show", "samples")
    row = dict.fromkeys(("epoch", "loss", "learning_rate", "images_per_second", "peak_memory_mb"), "2.50000001")
    monkeypatch.setattr(inspection, "history", lambda chain, picture: [{**row, "evaluation_loss": "", "accuracy": ""}])
    assert atlasflow("show", "history").count("2.5 ") >= 4
    assert "--part" in atlasflow("show", "samples", "--part", "test", code=2)


def test_a_network_becomes_a_table(atlasflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "network", lambda chain, folder: Network.from_json(NETWORK))
    printed = atlasflow("show", "network")
    assert ["fc3", "Dense", "1", "×", "10", "850", "840"] in [line.split() for line in printed.splitlines()]
    assert "61,984 parameters, 651,720 multiply-adds" in printed
    assert json.loads(atlasflow("show", "network", "--json")) == NETWORK


def test_costs_and_score_are_shown_and_written(atlasflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inspection, "profile", lambda chain, folder: TrainedNetwork.from_json(COSTS))
    printed = atlasflow("profile", "-o", tmp_path / "profile.json")
    latency = ("mean 0.900 ms, median 0.850", "p99 1.500, threads pinned")
    for words in ("32.78 = 0.50", "0.6600 on 10,000 images", *latency, "0.2479 MB"):
        assert words in printed
    assert json.loads((tmp_path / "profile.json").read_text()) == COSTS
    assert json.loads(atlasflow("profile", "--json")) == COSTS


def test_two_trainings_are_compared(atlasflow: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gains = (ClassGain("cat", 50, 0.5, 0.9, 0.2, 0.6), ClassGain("dog", 50, 0.5, 0.5, -0.1, 0.1))
    difference = Difference(("settings", "epochs"), 3, 5)

    def compared(gains: tuple[ClassGain, ...]) -> None:
        def compare(_chain: Any, first: Training, second: Training) -> TrainingComparison:
            return TrainingComparison(first, second, (difference,), gains[0] if gains else None, gains)

        monkeypatch.setattr(training_comparison, "compare", compare)

    monkeypatch.setattr(
        training_comparison,
        "find_training",
        lambda _, name: Training(name, Receipt("train", name, {}, {}), (), None),
    )
    compared(gains)
    picture = tmp_path / "both.png"
    command = ("show", "history", "--compare", "abc", "def", "-o", picture)
    lines = [line.split() for line in atlasflow(*command).splitlines()]
    assert lines[0] == ["settings", "epochs:", "3", "→", "5"]
    assert ["cat", "50", "50.00%", "90.00%", "+40.00", "*", "+20.00", "…", "+60.00"] in lines
    assert ["dog", "50", "50.00%", "50.00%", "+0.00", "-10.00", "…", "+10.00"] in lines
    assert picture.read_bytes().startswith(b"\x89PNG")
    told = json.loads(atlasflow(*command, "--json"))
    assert (told["first"], told["second"], told["gains"][0]["high"]) == ("abc", "def", 0.6)
    compared(())
    assert "both need an evaluation on the same images" in atlasflow(*command)


def test_a_step_and_a_learning_rate_are_shown(atlasflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    times = StepTimes("lenet5", 32, True, 8.0, 1.0, 0.25, 0.125, 0.0, (LayerTime("conv1", 1.5, 2.5),))
    monkeypatch.setattr(inspection, "step_times", lambda chain, folder, picture: times)
    printed = atlasflow("show", "step")
    lines = [line.split() for line in printed.splitlines()]
    assert ["conv1", "1.500", "2.500"] in lines
    assert ["(loss)", "0.250"] in lines
    assert "a step of 32 images: 8.00 ms, 4,000 images/s, compiled kernels" in printed
    assert json.loads(atlasflow("show", "step", "--json"))["layers"][0]["backward_ms"] == 2.5
    found = RateRange((0.01, 0.1), (2.3, 1.5), 0.1, 0.01)
    monkeypatch.setattr(inspection, "rate_range", lambda chain, folder, picture: found)
    assert "try it: atlasflow run --set train.learning_rate=0.1" in atlasflow("show", "learning-rate")
    assert json.loads(atlasflow("show", "learning-rate", "--json"))["steepest"] == 0.1
