"""A home, and its backup."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from infra.backup.write import back_up
from tests.unit.infra.backup.homes import KEPT, LEFT_OUT, SECRETS, make


@pytest.fixture
def home(tmp_path: Path) -> Any:
    place = tmp_path / "home"
    for name, text in {**KEPT, **LEFT_OUT, **SECRETS}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "secrets" / "board-laptop").chmod(0o600)
    (place / "notify" / "waiting" / "1.json").chmod(0o600)
    for number in (1, 2):
        make(place, number)
    (place / "prefect").mkdir()
    with contextlib.closing(sqlite3.connect(place / "prefect" / "prefect.db")) as database, database:
        database.execute("CREATE TABLE runs (name)")
        database.execute("INSERT INTO runs VALUES ('first')")
    return place


@pytest.fixture
def archive(home: Any, tmp_path: Path) -> Any:
    target = tmp_path / "backup.tar.gz"
    back_up(home, home / "boards.toml", target)
    return target
