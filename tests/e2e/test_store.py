"""Damage is noticed, named and mended; garbage goes, and what is in use stays."""

import contextlib
import dataclasses
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from infra.backup.contents import ARTIFACTS, STATE
from tests.e2e.installation import STAGES

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


def flip(path: Any) -> None:
    """Change one byte and put the times back, as a failing disk would."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_deleted_object_is_missed_and_made_again(made: Any) -> None:
    picture = made.output("evaluate", "confusion")
    content = picture.read_bytes()
    picture.unlink()
    assert "is missing from the store" in made.atlasflow("why", "evaluate")
    printed = made.atlasflow("run")
    assert "is missing from the store" in printed
    assert made.last_run()[1] == dict.fromkeys(STAGES, "reused") | {"evaluate": "ran"}
    assert picture.read_bytes() == content


def test_a_flipped_byte_is_named_by_every_look_and_made_again(made: Any) -> None:
    assert made.json("verify", "--deep")["damaged"] == []
    (model,) = made.tree("convert", "om").values()
    content = model.read_bytes()
    flip(model)
    finished = made.json("verify", "--deep", code=6)
    damaged = {(item["stage"], item["output"]) for item in finished["damaged"]}
    assert damaged == {("convert", "om"), ("publish", "release")}, "the release holds the same file"
    assert "convert om: " in made.atlasflow("verify", code=6)
    row = made.status()["convert"]
    assert row["state"] == "stale"
    assert row["reason"].endswith("was changed on disk")
    assert "was changed on disk" in made.atlasflow("run")
    assert made.last_run()[1] == dict.fromkeys(STAGES, "reused") | {"convert": "ran"}
    assert model.read_bytes() == content


def test_gc_removes_what_no_run_needs_and_nothing_else(made: Any) -> None:
    other = ("--set", 'convert.soc_versions=["Ascend310B4"]')
    made.atlasflow("run", "--stage", "convert", *other)
    assert made.last_run()[1] == {"convert": "ran"}
    assert made.states(*other)["convert"] == "fresh"
    made.atlasflow("run", "--record")
    receipts = (made.folder / "receipts" / "convert").glob("*.json")
    (unneeded,) = (path for path in receipts if "Ascend310B4" in path.read_text())
    keep_one = {"ATLASFLOW_STORE__KEEP_RUNS": "1"}
    announced = made.json("gc", "--dry-run", **keep_one)
    assert unneeded.stem in announced["receipts"]
    assert announced["bytes"] > 0
    assert unneeded.exists()
    assert made.json("gc", **keep_one) == announced
    assert not unneeded.exists()
    assert set(made.states().values()) == {"fresh"}
    assert made.json("verify", "--deep")["damaged"] == []
    assert made.json("gc", **keep_one) == {"receipts": [], "objects": [], "bytes": 0, "kept": announced["kept"]}


LEFT_OUT = {"boards", "certificates", "inputs", "kernels", "latest", "leases", "locks", "objectstore", "secrets"}
LEFT_OUT |= {"links.txt", "services", "statcache.json", "verdict.json", "work", "pulled", "reports"}


def test_a_backup_brings_everything_back_and_the_stages_beside_the_chain_go_on_from_it(
    made: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What a home holds belongs to its state, or is known not to; robustness is measured in the restored home."""
    kept = {place.partition("/")[0] for place in (*STATE, *ARTIFACTS)}
    assert {path.name for path in made.folder.iterdir()} <= kept | LEFT_OUT
    archive = tmp_path / "backup.tar.gz"
    made.atlasflow("backup", archive)
    new = dataclasses.replace(made, folder=tmp_path / "home")
    request.addfinalizer(lambda: new.atlasflow("down"))
    told = new.json("restore", archive)
    assert told["files"] > 50
    assert set(new.states().values()) == {"fresh"}
    assert new.json("verify", "--deep")["damaged"] == []
    assert "is not empty" in new.atlasflow("restore", archive, code=2)
    with contextlib.closing(sqlite3.connect(new.folder / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM flow_run WHERE state_type = 'COMPLETED'").fetchone()[0] > 0
    keys = [path.read_bytes() for path in (made.folder / "secrets").iterdir() if path.stat().st_size]
    assert keys
    assert not any(key in path.read_bytes() for key in keys for path in new.folder.rglob("*") if path.is_file())
    server = made.prefect_client()
    quick = ("--set", "robustness.severities=[5]", "--set", "robustness.images=200")
    new.atlasflow("run", "--stage", "corrupt", "--stage", "robustness", *quick, **server)
    assert new.last_run()[1] == {"corrupt": "ran", "robustness": "ran"}
    found = json.loads(new.output("robustness", "robustness", *quick).read_text())
    accuracies = [row["5"] for row in found["accuracy"].values()]
    assert len(set(accuracies)) > 1
    assert found["mean_corruption_error"] == pytest.approx(1 - sum(accuracies) / 5)
    again = new.atlasflow("run", "--stage", "corrupt", "--stage", "robustness", *quick)
    assert "Everything is fresh" in again
    assert set(new.states(*quick)) == {*STAGES, "corrupt", "robustness"}
    assert set(made.states()) == set(STAGES)
