"""What ships in `data/compact`, evaluated again on the 1,000 original test images of the sample."""

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from infra.store.digests import file_digest
from models.spec.recipes import from_json, resolve

CHECKOUT = Path(__file__).parents[4]
SHIPPED = CHECKOUT / "data" / "compact"


def read(name: Any) -> Any:
    return json.loads((SHIPPED / name).read_text())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The sample's evaluation part, and its class names."""
    folder = tmp_path_factory.mktemp("sample")
    with tarfile.open(CHECKOUT / "data" / "cifar10-sample.tar.gz") as archive:
        for name, place in {"test_batch.bin": "eval/test_batch.bin", "batches.meta.txt": "batches.meta.txt"}.items():
            member = archive.extractfile(f"cifar-10-batches-bin/{name}")
            assert member is not None
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_bytes(member.read())
    return folder


@pytest.mark.mindspore
def test_the_checkpoint_has_the_accuracy_that_it_is_shipped_with(run: Any, original: Any, tmp_path: Path) -> None:
    done = run(
        *("evaluate", "--data_url", original, "--spec", SHIPPED / "spec.json"),
        *("--checkpoint", SHIPPED / "checkpoint.ckpt", "--output", tmp_path),
    )
    assert done.code == 0, done.errors
    found = json.loads((tmp_path / "metrics.json").read_text())
    shipped = read("metrics-original.json")
    assert found["images"] == 1000
    assert found["accuracy"] == pytest.approx(shipped["accuracy"], abs=0.002)  # another processor may round two ties
    assert found["loss"] == pytest.approx(shipped["loss"], rel=1e-3)


def test_the_training_is_what_its_receipt_and_its_recipe_say() -> None:
    receipt, evaluation = read("receipt-train.json"), read("receipt-evaluate.json")
    for output, name in (("checkpoint", "checkpoint.ckpt"), ("history", "history.csv"), ("events", "history.jsonl")):
        assert file_digest(SHIPPED / name) == receipt["outputs"][output]["sha256"]
    assert not receipt["emulated"]
    assert receipt["ingredients"]["settings"] == read("spec.json")
    # Fields that came later have the values by which nothing changed.
    assert from_json((SHIPPED / "spec.json").read_text()) == resolve("compact")
    with (SHIPPED / "history.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == resolve("compact").epochs
    assert evaluation["ingredients"]["inputs"]["checkpoint"] == receipt["outputs"]["checkpoint"]["sha256"]
    assert file_digest(SHIPPED / "metrics.json") == evaluation["outputs"]["metrics"]["sha256"]
    assert (SHIPPED / "checkpoint.ckpt").stat().st_size < 5_000_000


def test_the_score_is_the_tutorial_s() -> None:
    profile, metrics = read("profile.json"), read("metrics.json")
    assert profile["accuracy"] == metrics["accuracy"]
    assert metrics["images"] == profile["images"] == 10_000
    size, latency = profile["parameters"] * 4 / 1e6, profile["latency_ms"]["mean"]
    assert profile["score"] == pytest.approx(50 * metrics["accuracy"] - 0.35 * size - 0.15 * latency)
    assert profile["score"] > 42
