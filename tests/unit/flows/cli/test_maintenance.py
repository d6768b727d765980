import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli import maintenance, status
from infra.champions import Registry
from infra.errors import Corrupt
from infra.store.mirror import Mirror
from infra.store.runs import Runs, StageRecord
from infra.world import World
from tasks.pipeline import NAMES
from tests.unit.infra.champions import champion
from tests.unit.infra.store.test_mirror import FolderStore


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command printed, as JSON."""

    def call(function: Any, **options: Any) -> Any:
        function(as_json=True, **options)
        return json.loads(capsys.readouterr().out)

    return call


def states(rows: Any) -> Any:
    return {row["stage"]: row["state"] for row in rows}


def test_verify_counts_and_names_damage(small: Any, capsys: pytest.CaptureFixture[str], told: Any) -> None:
    chain = small.make_all()
    assert told(maintenance.verify) == {"checked": 12, "damaged": []}
    path = chain.store.path(chain.known["export"].outputs["out"])
    path.chmod(0o644)
    path.write_text("other")
    with pytest.raises(Corrupt, match=r"export out: out\.json .* was changed on disk"):
        maintenance.verify(deep=True, as_json=True)
    assert [item["stage"] for item in json.loads(capsys.readouterr().out)["damaged"]] == ["export"]


def test_gc_keeps_what_boards_hold_though_no_run_is_on_record(small: Any, told: Any) -> None:
    small.make_all()
    assert told(maintenance.gc, dry_run=True)["receipts"] == []


def test_gc_keeps_what_the_champion_of_another_machine_rests_on(
    small: Any, told: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small.make_all()
    other = small.chain(overrides={"train.epochs": "3"})
    keys = [other.run(other.stages[name]).receipt.key for name in NAMES[:3]]
    mirror = Mirror(lambda: FolderStore(tmp_path / "bucket"), "team")
    model = champion("a", keys={"train": keys[-1]})
    Registry(tmp_path / "other", mirror).promote(model, keys[-1:], over="", pending=False)
    assert keys[-1] in told(maintenance.gc, dry_run=True)["receipts"]
    monkeypatch.setattr(World, "mirror", lambda world: mirror)
    assert keys[-1] not in told(maintenance.gc, dry_run=True)["receipts"]


def test_gc_keeps_what_the_last_runs_used(small: Any, told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    chain = small.make_all()
    record = Runs(small.folder).begin("local")
    record.stages = [StageRecord("deploy", chain.known["deploy"].key, "ran", "", 0.0)]
    Runs(small.folder).save(record)
    other = small.chain(overrides={"train.epochs": "3"})
    for name in NAMES[:3]:
        lost = other.run(other.stages[name]).receipt
    assert lost.key in told(maintenance.gc, dry_run=True)["receipts"]
    maintenance.gc()
    assert f"{len(NAMES)} receipts are in use" in capsys.readouterr().out
    assert states(told(status.status)) == dict.fromkeys(NAMES, "fresh")
