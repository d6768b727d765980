import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Corrupt, Refused
from infra.store import migrations
from infra.store import receipts as receipts_module
from infra.store import rewrite as rewriting
from infra.store.artifacts import Artifact
from infra.store.atomic import write_text
from infra.store.digests import value_digest
from infra.store.migrations import Body, CannotUpgrade
from infra.store.receipts import Receipt, Receipts
from infra.store.rewrite import rewrite

RECEIPT = Receipt(
    "train",
    "k" * 64,
    {"inputs": {"data": "d" * 64}, "settings": {"epochs": 3}},
    {"checkpoint": Artifact("checkpoint.ckpt", "c" * 64, 7, "file", "application/octet-stream")},
    tools={"mindspore": "2.10.0"},
    emulated=True,
    started=100.0,
    seconds=5.0,
)


def test_a_receipt_comes_back_as_it_was(tmp_path: Path) -> None:
    Receipts(tmp_path).save(RECEIPT)
    assert Receipts(tmp_path).load("train", RECEIPT.key) == RECEIPT
    assert Receipts(tmp_path).load("train", "z" * 64) is None


def test_any_change_in_the_file_is_damage_and_no_miss(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    path = receipts.path("train", RECEIPT.key)
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    with pytest.raises(Corrupt, match="seal does not fit"):
        receipts.load("train", RECEIPT.key)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"seal": 1}', json.dumps({"no": "seal"})])
def test_other_damage_names_the_file(tmp_path: Path, text: str) -> None:
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    path = receipts.path("train", RECEIPT.key)
    path.write_text(text)
    with pytest.raises(Corrupt, match=str(path)):
        receipts.load("train", RECEIPT.key)


def sealed(body: Body) -> str:
    return json.dumps({**body, "seal": value_digest(body)})


def written(tmp_path: Path, **changes: Any) -> tuple[Receipts, Path]:
    """A receipt on disk whose body differs, under a right seal."""
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    path = receipts.path("train", RECEIPT.key)
    body = {**json.loads(path.read_text()), **changes}
    del body["seal"]
    path.write_text(sealed({name: value for name, value in body.items() if value is not None}))
    return receipts, path


@pytest.mark.parametrize("text", [None, '{"schema": 7, "seal": "of another kind", "what": "ever"}'])
def test_a_newer_schema_is_refused_and_nothing_is_lost(tmp_path: Path, text: str) -> None:
    receipts, path = written(tmp_path, schema=7)
    if text:
        path.write_text(text)
    before = path.read_text()
    for look in (lambda: receipts.load("train", RECEIPT.key), lambda: list(receipts.all())):
        with pytest.raises(Refused, match=r"written by a newer AtlasFlow \(schema 7, here 1\)") as error:
            look()
        assert "remove" not in error.value.hint
    with pytest.raises(Refused, match="newer"):
        rewrite(tmp_path, dry_run=False)
    assert path.read_text() == before


@pytest.fixture
def third_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AtlasFlow with schema 3: the step to 2 renames the tools, the step to 3 needs the duration."""

    def second(body: Body) -> Body:
        return {**{name: value for name, value in body.items() if name != "programs"}, "tools": body["programs"]}

    def third(body: Body) -> Body:
        if "seconds" not in body:
            raise CannotUpgrade("it does not say how long it took")
        return body

    for module in (migrations, receipts_module, rewriting):
        monkeypatch.setattr(module, "SCHEMA", 3)
    monkeypatch.setattr(migrations, "STEPS", {1: second, 2: third})


def test_an_older_schema_is_read_as_the_present_one(tmp_path: Path, third_schema: None) -> None:
    receipts, path = written(tmp_path, schema=1, tools=None, programs={"mindspore": "2.10.0"})
    before = path.read_text()
    assert receipts.load("train", RECEIPT.key) == RECEIPT
    assert path.read_text() == before
    (would,) = rewrite(tmp_path, dry_run=True)
    assert (would.outcome, path.read_text()) == ("upgraded", before)
    (done,) = rewrite(tmp_path, dry_run=False)
    assert (done.schema, done.outcome) == (1, "upgraded")
    assert json.loads(path.read_text())["schema"] == 3
    assert (tmp_path / "aside" / "schema-1" / "train" / path.name).read_text() == before
    assert receipts.load("train", RECEIPT.key) == RECEIPT
    assert rewrite(tmp_path, dry_run=False) == []


def test_what_cannot_be_upgraded_is_told_and_kept_aside(tmp_path: Path, third_schema: None) -> None:
    receipts, path = written(tmp_path, schema=2, seconds=None)
    before = path.read_text()
    with pytest.raises(Refused, match="older AtlasFlow: it does not say how long it took") as error:
        receipts.load("train", RECEIPT.key)
    assert "`atlasflow upgrade` keeps it aside" in error.value.hint
    (done,) = rewrite(tmp_path, dry_run=False)
    kept = tmp_path / "aside" / "schema-2" / "train" / path.name
    assert (done.outcome, kept.read_text()) == ("kept aside", before)
    assert str(kept) in done.note
    assert receipts.load("train", RECEIPT.key) is None  # so the stage runs again


def test_a_schema_without_a_way_here_is_told(tmp_path: Path) -> None:
    receipts, _ = written(tmp_path, schema=0)
    with pytest.raises(Refused, match="nothing is known of schema 0"):
        receipts.load("train", RECEIPT.key)


def test_a_kill_between_the_two_writings_of_an_upgrade_loses_nothing(
    tmp_path: Path, third_schema: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = written(tmp_path, schema=1, tools=None, programs={"mindspore": "2.10.0"})
    before = path.read_text()

    def killed(target: Path, text: str) -> None:
        if target == path:
            raise KeyboardInterrupt
        write_text(target, text)

    monkeypatch.setattr(rewriting, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        rewrite(tmp_path, dry_run=False)
    assert path.read_text() == before
    monkeypatch.setattr(rewriting, "write_text", write_text)
    assert [item.outcome for item in rewrite(tmp_path, dry_run=False)] == ["upgraded"]
    assert (tmp_path / "aside" / "schema-1" / "train" / path.name).read_text() == before


def test_a_damaged_receipt_stops_an_upgrade_by_its_name(tmp_path: Path) -> None:
    _, path = written(tmp_path)
    path.write_text("{")
    with pytest.raises(Corrupt, match=path.name):
        rewrite(tmp_path, dry_run=False)


def test_the_latest_is_the_one_finished_last(tmp_path: Path) -> None:
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    later = dataclasses.replace(RECEIPT, key="a" * 64, started=200.0)
    receipts.save(later)
    assert receipts.latest("train") == later
    assert receipts.latest("export") is None


def test_the_latest_is_found_without_reading_the_others_whole(tmp_path: Path) -> None:
    """Damage beyond the head of an older receipt shows when that one is loaded."""
    receipts = Receipts(tmp_path)
    receipts.save(RECEIPT)
    latest = dataclasses.replace(RECEIPT, key="a" * 64, started=200.0)
    receipts.save(latest)
    path = receipts.path("train", RECEIPT.key)
    path.write_text(path.read_text().replace('"epochs": 3', '"epochs": 4'))
    assert receipts.latest("train") == latest
    with pytest.raises(Corrupt):
        receipts.load("train", RECEIPT.key)


def test_a_receipt_in_another_layout_is_read_whole_for_its_time(tmp_path: Path) -> None:
    receipts, path = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":")))
    assert receipts.latest("train") == RECEIPT
    path.write_text("{")
    with pytest.raises(Corrupt):
        receipts.latest("train")
