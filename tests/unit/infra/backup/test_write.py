import contextlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from infra.backup.restore import restore
from infra.backup.write import back_up
from infra.errors import Corrupt, UserError
from infra.store.artifacts import ArtifactStore
from infra.store.digests import value_digest
from infra.store.receipts import Receipts
from infra.store.rewrite import rewrite
from tests.unit.infra.backup.homes import make


@pytest.mark.parametrize(("name", "text"), [("backup.zip", "has an unknown suffix"), ("there.tar", "exists already")])
def test_a_target_that_cannot_be_one_is_refused(home: Any, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "there.tar").write_text("something else")
    with pytest.raises(UserError, match=text):
        back_up(home, home / "boards.toml", tmp_path / name)
    assert (tmp_path / "there.tar").read_text() == "something else"
    with pytest.raises(UserError, match="nothing to back up"):
        back_up(tmp_path / "absent", tmp_path / "boards.toml", tmp_path / "b.tar")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("damage", ["changed", "missing", "receipt"])
def test_a_damaged_store_gives_no_backup(home: Any, tmp_path: Path, damage: str) -> None:
    receipt = next(Receipts(home).all())
    path = ArtifactStore(home).path(receipt.outputs["file"])
    if damage == "receipt":
        Receipts(home).path("train", receipt.key).write_text("{")
    elif damage == "missing":
        path.unlink()
    else:
        path.chmod(0o644)
        path.write_text("x" * path.stat().st_size)
    words = {"changed": "was changed on disk", "missing": "is missing", "receipt": "is damaged"}
    with pytest.raises(Corrupt, match=words[damage]):
        back_up(home, home / "boards.toml", tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def test_a_damaged_database_gives_no_backup(home: Any, tmp_path: Path) -> None:
    path = home / "prefect" / "prefect.db"
    content = path.read_bytes()
    path.write_bytes(content[:16] + bytes(range(84)) + content[100:])
    with pytest.raises(Corrupt, match=r"prefect/prefect\.db is damaged"):
        back_up(home, home / "boards.toml", tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def test_a_database_with_a_damaged_page_gives_no_backup(home: Any, tmp_path: Path) -> None:
    """SQLite copies such a page without a word, so only its check tells."""
    path = home / "tracking" / "aim.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE names (name)")
        database.executemany("INSERT INTO names VALUES (?)", [("x" * 100,)] * 500)
    assert back_up(home, home / "boards.toml", tmp_path / "good.tar").databases == 2
    content = bytearray(path.read_bytes())
    content[8192:8232] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=r"tracking/aim\.db is damaged, so no backup was written"):
        back_up(home, home / "boards.toml", tmp_path / "b.tar")
    assert not list(tmp_path.glob("*b.tar*"))


def test_the_bytes_of_a_receipt_kept_aside_come_with_it(home: Any, tmp_path: Path) -> None:
    receipt = make(home, 3, "convert")
    path = Receipts(home).path("convert", receipt.key)
    old = {**json.loads(path.read_text()), "schema": 0, "lost": "0" * 64}
    del old["seal"]
    path.unlink()
    aside = home / "aside" / "schema-0" / "convert" / path.name
    aside.parent.mkdir(parents=True)
    aside.write_text(json.dumps({**old, "seal": value_digest(old)}))
    back_up(home, home / "boards.toml", tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "new")
    for artifact in receipt.outputs.values():
        ArtifactStore(tmp_path / "new").verify(artifact, deep=True)


def test_a_receipt_that_is_no_text_is_damaged(home: Any, tmp_path: Path) -> None:
    receipt = next(Receipts(home).all())
    path = Receipts(home).path("train", receipt.key)
    path.write_bytes(path.read_bytes() + b"\xff")
    with pytest.raises(Corrupt, match=rf"{path.name} is damaged"):
        back_up(home, home / "boards.toml", tmp_path / "b.tar")
    with pytest.raises(Corrupt, match=rf"{path.name} is damaged"):
        rewrite(home, dry_run=True)


def test_a_backup_is_consistent_while_a_run_goes_on(home: Any, tmp_path: Path) -> None:
    """Rows come in pairs, a receipt after its bytes, and the registry names a receipt that is there."""
    begun, over = threading.Event(), threading.Event()
    database = home / "prefect" / "prefect.db"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE halves (number, half)")
        connection.commit()

    def go_on() -> None:
        number = 10
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
            while not over.is_set() and number < 500:
                number += 1
                receipt = make(home, number)
                (home / ".r.tmp").write_text(json.dumps({"champion": receipt.key}))
                (home / ".r.tmp").rename(home / "registry.json")
                with connection:
                    connection.executemany("INSERT INTO halves VALUES (?, ?)", [(number, 0), (number, 1)])
                begun.set()

    running = threading.Thread(target=go_on)
    running.start()
    assert begun.wait(60)
    try:
        for number in range(4):
            back_up(home, home / "boards.toml", tmp_path / f"{number}.tar.gz")
    finally:
        over.set()
        running.join()
    for number in range(4):
        new = tmp_path / f"new-{number}"
        restore(tmp_path / f"{number}.tar.gz", new)
        receipts = {receipt.key: receipt for receipt in Receipts(new).all()}
        for receipt in receipts.values():
            for artifact in receipt.outputs.values():
                ArtifactStore(new).verify(artifact, deep=True)
        assert json.loads((new / "registry.json").read_text())["champion"] in receipts
        with contextlib.closing(sqlite3.connect(new / "prefect" / "prefect.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts = connection.execute("SELECT COUNT(*) FROM halves GROUP BY number").fetchall()
            assert set(counts) == {(2,)}


def test_a_release_that_goes_while_it_is_read_is_left_out_whole(
    home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = home / "fleet" / "releases" / "second"
    second.mkdir()
    (second / "a.json").write_text("a")
    (second / "b.json").write_text("b")
    real = type(home).read_bytes

    def vanishing(path: Any) -> Any:
        if path.parent == second:
            (second / "b.json").unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(type(home), "read_bytes", vanishing)
    back_up(home, home / "boards.toml", tmp_path / "b.tar")
    monkeypatch.undo()
    restore(tmp_path / "b.tar", tmp_path / "new")
    assert not (tmp_path / "new" / "fleet" / "releases" / "second").exists()
    assert (tmp_path / "new" / "fleet" / "releases" / "first").exists()
