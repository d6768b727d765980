import json
from pathlib import Path
from typing import Any

import pytest

from models.training.runtime import layout

pytestmark = pytest.mark.mindspore

SPEC = json.dumps({"epochs": 1, "batch_size": 20})


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory, make_data: Any, run: Any) -> Any:
    folder = tmp_path_factory.mktemp("profiled")
    data = make_data(folder / "data")
    common = ("--data_url", data, "--spec", SPEC)
    assert run("train", *common, "--train_url", folder).code == 0
    checkpoint = ("--checkpoint", folder / "checkpoint.ckpt", "--output", folder)
    assert run("export", *common, *checkpoint, "--format", "onnx").code == 0
    done = run("profile", *common, *checkpoint, "--model", folder / "model.onnx")
    assert done.code == 0, done.errors
    return json.loads((folder / "profile.json").read_text())


def test_parameters_and_multiply_adds_of_lenet(profiled: Any) -> None:
    # Output pixels times weights: 28² · 450 + 10² · 2,400 + 400 · 120 + 120 · 84 + 84 · 10.
    assert profiled["parameters"] == 61_984
    assert profiled["multiply_adds"] == 352_800 + 240_000 + 48_000 + 10_080 + 840


def test_layers_come_in_order_with_their_shapes(profiled: Any) -> None:
    rows = [
        (row["name"], row["shape"]) for row in profiled["layers"] if row["kind"] in ("Conv2d", "Dense", "MaxPool2d")
    ]
    assert rows == [
        ("conv1", [1, 6, 28, 28]),
        ("pool", [1, 6, 14, 14]),
        ("conv2", [1, 16, 10, 10]),
        ("pool", [1, 16, 5, 5]),
        ("fc1", [1, 120]),
        ("fc2", [1, 84]),
        ("fc3", [1, 10]),
    ]


def test_the_score_is_the_tutorial_s(profiled: Any) -> None:
    assert profiled["size_mb"] == pytest.approx(0.247936)
    mean = profiled["latency_ms"]["mean"]
    assert profiled["score"] == pytest.approx(50 * profiled["accuracy"] - 0.35 * 0.247936 - 0.15 * mean)


def test_latencies_are_ordered(profiled: Any) -> None:
    for figures in (profiled["latency_ms"], profiled["onnx"]["latency_ms"]):
        assert 0 < figures["p10"] <= figures["median"] <= figures["p90"] <= figures["p99"]
        assert figures["pinned"] in (True, False)
    assert profiled["onnx"]["size_mb"] == pytest.approx(0.25, abs=0.02)


def test_a_network_is_described_without_a_training(run: Any, tmp_path: Path) -> None:
    done = run("describe", "--spec", '{"network": "compact"}', "--output", tmp_path)
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "network.json").read_text())
    assert (found["parameters"], found["multiply_adds"]) == (278_810, 24_109_856)
    assert [row["shape"] for row in found["layers"] if row["kind"] == "MaxPool2d"] == [
        [1, 32, 16, 16],
        [1, 64, 8, 8],
        [1, 80, 4, 4],
    ]


def test_weights_and_biases_are_listed(run: Any, tmp_path: Path) -> None:
    """The tuning tutorial's eight arrays (docs/reference/tutorials.md T4)."""
    done = run("describe", "--spec", "{}", "--output", tmp_path)
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "network.json").read_text())["arrays"]
    assert [array["size"] for array in found] == [450, 2_400, 48_000, 120, 10_080, 84, 840, 10]
    assert [array["name"].rpartition(".")[2] for array in found] == ["weight"] * 2 + ["weight", "bias"] * 3


def test_a_missing_model_is_named(run: Any, data: Any, tmp_path: Path) -> None:
    done = run(
        *("profile", "--data_url", data, "--spec", SPEC, "--checkpoint", tmp_path / "none"),
        *("--output", tmp_path, "--model", tmp_path / "none.onnx"),
    )
    assert done.code == 2
    assert "none.onnx" in str(done.events("error")[0]["message"])


def test_a_network_that_is_not_trained_costs_the_same(run: Any, make_data: Any, profiled: Any, tmp_path: Path) -> None:
    with layout(kernels=True):  # as a training beside
        done = run("profile", "--data_url", make_data(tmp_path / "data"), "--spec", SPEC, "--output", tmp_path)
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "profile.json").read_text())
    assert set(profiled) - set(found) == {"accuracy", "images", "score", "onnx"}
    assert {**found, "latency_ms": 0} == {
        name: value for name, value in {**profiled, "latency_ms": 0}.items() if name in found
    }
    assert found["latency_ms"]["mean"] > 0
    assert found["latency_ms"]["pinned"] is False
