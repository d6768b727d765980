"""A home's state as one file, and back."""

import contextlib
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from infra.backup.contents import ARTIFACTS, STATE
from infra.backup.restore import restore
from infra.backup.write import back_up
from infra.store.receipts import Receipts
from tests.unit.infra.backup.homes import KEPT, LEFT_OUT, SECRETS, contents


@pytest.mark.parametrize("name", ["backup.tar.gz", "backup.tgz", "backup.tar"])
def test_what_matters_comes_back_and_nothing_else(home: Any, tmp_path: Path, name: str) -> None:
    fleet_file = tmp_path / "elsewhere.toml"
    fleet_file.write_text('[boards.porch]\nsoc = "Ascend310"\n')
    target = tmp_path / name
    done = back_up(home, fleet_file, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert done.archive_bytes == target.stat().st_size
    new = tmp_path / "new" / "home"
    new.parent.mkdir()
    back = restore(target, new)
    assert (back.files, back.bytes, back.before) == (done.files, done.bytes, None)
    found = {name for name in contents(new) if not name.startswith("locks/")}
    assert set(KEPT) <= found
    assert not set(LEFT_OUT) & found
    assert not set(SECRETS) & found
    assert {name.partition("/")[0] for name in found} == {name.partition("/")[0] for name in (*STATE, *ARTIFACTS)}
    assert (new / "boards.toml").read_text() == fleet_file.read_text()
    for path in found - {"boards.toml", "prefect/prefect.db"}:
        assert (new / path).read_bytes() == (home / path).read_bytes()
        assert stat.S_IMODE((new / path).stat().st_mode) == stat.S_IMODE((home / path).stat().st_mode)
    with contextlib.closing(sqlite3.connect(new / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT name FROM runs").fetchall() == [("first",)]
    assert list(Receipts(new).all()) == list(Receipts(home).all())
    assert (new / "latest" / "train" / "file").read_text().startswith("file 2")
    assert [path.name for path in new.parent.iterdir()] == ["home"]


def test_secrets_come_only_when_asked_for(home: Any, tmp_path: Path) -> None:
    target = tmp_path / "all.tar"
    back_up(home, home / "boards.toml", target, secrets=True)
    restore(target, tmp_path / "new")
    for name, text in SECRETS.items():
        assert (tmp_path / "new" / name).read_text() == text
    assert stat.S_IMODE((tmp_path / "new" / "secrets" / "board-laptop").stat().st_mode) == 0o600
