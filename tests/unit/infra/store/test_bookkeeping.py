"""Damaged files of a home: what is kept for later is an error that names it; what only saves work is set aside."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.errors import Corrupt, UserError
from infra.services import Services
from infra.settings import load
from infra.settings.fleet import edit_board, read_fleet
from infra.store.bookkeeping import read_json
from infra.store.proofs import note, proofs
from infra.store.receipts import Receipt, Receipts
from infra.store.runs import Runs

DAMAGE = (b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b"7", b"[" * 100_000, b'{"a": "b"}')


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda data: ascii(data[:8]))
def test_bookkeeping_is_set_aside_with_a_warning(
    tmp_path: Path, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, services = Runs(tmp_path), Services(tmp_path)
    record = runs.begin("local")
    runs.save(record)
    readers: dict[str, Callable[[], object]] = {
        "runs/99991231T235959-000-1.json": lambda: [run.id for run in runs.latest()] == [record.id],
        "proofs.json": lambda: proofs(tmp_path) == {},
        "services/store.json": lambda: services.status() == [],
    }
    for name, reads in readers.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damage)
        assert reads(), name
        assert path.name in capsys.readouterr().err
        assert not path.exists()
        assert path.with_name(f"{path.name}.damaged").read_bytes() == damage
        assert reads(), name
        assert capsys.readouterr().err == ""
    note(tmp_path, "deploy", "k", 1.0)
    assert proofs(tmp_path) == {"deploy k": 1.0}


def test_a_good_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    assert read_json(tmp_path / "a.json", list) == [1]
    assert read_json(tmp_path / "absent.json", list) is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda data: ascii(data[:8]))
def test_a_damaged_receipt_is_an_error_that_names_it(tmp_path: Path, damage: bytes) -> None:
    receipts = Receipts(tmp_path)
    receipts.save(Receipt("train", "k", {}, {}))
    path = receipts.path("train", "k")
    path.write_bytes(damage)
    for read in (lambda: receipts.load("train", "k"), lambda: list(receipts.all()), lambda: receipts.latest("train")):
        with pytest.raises(Corrupt, match=r"k\.json is damaged"):
            read()


@pytest.mark.parametrize("text", [b"# caf\xe9\n", b"[boards.a]\nsoc = '\xff'\n"])
def test_a_fleet_file_or_profile_that_is_no_text_is_named(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "boards.toml"
    path.write_bytes(text)
    for read in (
        lambda: read_fleet(path),
        lambda: edit_board(path, "a", {"soc": "Ascend310"}),
        lambda: load(str(path)),
    ):
        with pytest.raises(UserError, match=r"boards\.toml is not UTF-8"):
            read()
    assert path.read_bytes() == text


def test_what_cannot_be_set_aside_stays_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.json"
    path.write_text("{")
    (tmp_path / "notes.json.damaged").mkdir()
    assert read_json(path, dict) is None
    assert path.read_text() == "{"
    assert "is damaged (JSONDecodeError) and not used; it stays where it is (" in capsys.readouterr().err
