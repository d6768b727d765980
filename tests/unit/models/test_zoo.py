"""What ships in `data/compact`, evaluated again on the 1,000 original test images of the sample."""

import csv
import itertools
import json
import tarfile
from pathlib import Path

import pytest

from infra.store.digests import file_digest
from models.spec import resolve, to_json

CHECKOUT = Path(__file__).parents[3]
SHIPPED = CHECKOUT / "data" / "compact"
# Folder and recipe of each pass, in order.
PASSES = (("first", "compact"), ("second", "compact-second"), (".", "compact-third"))


def read(name):
    return json.loads((SHIPPED / name).read_text())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The sample's evaluation part."""
    folder = tmp_path_factory.mktemp("sample")
    with tarfile.open(CHECKOUT / "data" / "cifar10-sample.tar.gz") as archive:
        member = archive.extractfile("cifar-10-batches-bin/test_batch.bin")
        assert member is not None
        (folder / "eval").mkdir()
        (folder / "eval" / "test_batch.bin").write_bytes(member.read())
    return folder


@pytest.mark.mindspore
def test_the_checkpoint_has_the_accuracy_that_it_is_shipped_with(run, original, tmp_path):
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


@pytest.mark.parametrize(("folder", "recipe"), PASSES)
def test_each_pass_is_what_its_receipt_and_its_recipe_say(folder, recipe):
    receipt = read(f"{folder}/receipt-train.json")
    for output, name in (("checkpoint", "checkpoint.ckpt"), ("history", "history.csv"), ("events", "history.jsonl")):
        assert file_digest(SHIPPED / folder / name) == receipt["outputs"][output]["sha256"]
    assert not receipt["emulated"]
    assert receipt["ingredients"]["settings"] == json.loads(to_json(resolve(recipe)))
    with (SHIPPED / folder / "history.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == resolve(recipe).epochs


def test_each_pass_starts_from_the_one_before_and_the_last_is_what_was_evaluated():
    receipts = [read(f"{folder}/receipt-train.json") for folder, _ in PASSES]
    for before, after in itertools.pairwise(receipts):
        assert after["ingredients"]["inputs"]["pretrained"] == before["outputs"]["checkpoint"]["sha256"]
    evaluation = read("receipt-evaluate.json")
    assert evaluation["ingredients"]["inputs"]["checkpoint"] == receipts[-1]["outputs"]["checkpoint"]["sha256"]
    assert file_digest(SHIPPED / "metrics.json") == evaluation["outputs"]["metrics"]["sha256"]
    assert read("spec.json") == receipts[-1]["ingredients"]["settings"]
    assert (SHIPPED / "checkpoint.ckpt").stat().st_size < 5_000_000


def test_the_score_is_the_tutorial_s():
    profile, metrics = read("profile.json"), read("metrics.json")
    assert profile["accuracy"] == metrics["accuracy"]
    assert metrics["images"] == profile["images"] == 10_000
    size, latency = profile["parameters"] * 4 / 1e6, profile["latency_ms"]["mean"]
    assert profile["score"] == pytest.approx(50 * metrics["accuracy"] - 0.35 * size - 0.15 * latency)
    assert profile["score"] > 41
