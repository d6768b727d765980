"""What ships in `data/compact` and `data/fast94`, evaluated again on the 1,000 original test images of the sample."""

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from infra.store.digests import file_digest
from models.spec.recipes import from_json, resolve

CHECKOUT = Path(__file__).parents[4]
# Recipe, what its training changed, and the largest size of its checkpoint in bytes.
SHIPPED: dict[str, tuple[dict[str, object], int]] = {
    "compact": ({}, 5_000_000),
    "fast94": ({"precision": "bfloat16", "evaluate_every": 2}, 8_000_000),
}


@pytest.fixture(params=SHIPPED)
def recipe(request: pytest.FixtureRequest) -> Any:
    return request.param


def folder(recipe: Any) -> Path:
    return CHECKOUT / "data" / str(recipe)


def read(recipe: Any, name: Any) -> Any:
    return json.loads((folder(recipe) / name).read_text())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The sample's evaluation part, and its class names."""
    sample = tmp_path_factory.mktemp("sample")
    with tarfile.open(CHECKOUT / "data" / "cifar10-sample.tar.gz") as archive:
        for name, place in {"test_batch.bin": "eval/test_batch.bin", "batches.meta.txt": "batches.meta.txt"}.items():
            member = archive.extractfile(f"cifar-10-batches-bin/{name}")
            assert member is not None
            (sample / place).parent.mkdir(exist_ok=True)
            (sample / place).write_bytes(member.read())
    return sample


@pytest.mark.mindspore
def test_the_checkpoint_has_the_accuracy_that_it_is_shipped_with(
    run: Any, original: Any, tmp_path: Path, recipe: Any
) -> None:
    done = run(
        *("evaluate", "--data_url", original, "--spec", folder(recipe) / "spec.json"),
        *("--checkpoint", folder(recipe) / "checkpoint.ckpt", "--output", tmp_path),
    )
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "metrics.json").read_text())
    shipped = read(recipe, "metrics-original.json")
    assert found["images"] == 1000
    assert found["accuracy"] == pytest.approx(shipped["accuracy"], abs=0.002)  # another processor may round two ties
    assert found["loss"] == pytest.approx(shipped["loss"], rel=1e-3)


def test_the_training_is_what_its_receipt_and_its_recipe_say(recipe: Any) -> None:
    changes, most = SHIPPED[recipe]
    shipped = folder(recipe)
    receipt, evaluation = read(recipe, "receipt-train.json"), read(recipe, "receipt-evaluate.json")
    for output, name in (("checkpoint", "checkpoint.ckpt"), ("history", "history.csv"), ("events", "history.jsonl")):
        assert file_digest(shipped / name) == receipt["outputs"][output]["sha256"]
    assert not receipt["emulated"]
    assert receipt["ingredients"]["settings"] == read(recipe, "spec.json")
    # Fields that came later have the values by which nothing changed.
    assert from_json((shipped / "spec.json").read_text()) == resolve(recipe, changes)
    with (shipped / "history.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == resolve(recipe, changes).epochs
    assert evaluation["ingredients"]["inputs"]["checkpoint"] == receipt["outputs"]["checkpoint"]["sha256"]
    assert file_digest(shipped / "metrics.json") == evaluation["outputs"]["metrics"]["sha256"]
    assert (shipped / "checkpoint.ckpt").stat().st_size < most


def test_the_score_is_the_tutorial_s() -> None:
    profile, metrics = read("compact", "profile.json"), read("compact", "metrics.json")
    assert profile["accuracy"] == metrics["accuracy"]
    assert metrics["images"] == profile["images"] == 10_000
    size, latency = profile["parameters"] * 4 / 1e6, profile["latency_ms"]["mean"]
    assert profile["score"] == pytest.approx(50 * metrics["accuracy"] - 0.35 * size - 0.15 * latency)
    assert profile["score"] > 42
