import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from infra.errors import Refused
from infra.store.disk import is_damaged, is_full, room_for


def full() -> OSError:
    return OSError(errno.EDQUOT, "quota exceeded")


def database_error(code: int) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("as SQLite says it")
    error.sqlite_errorcode = code
    return error


def caused(cause: BaseException) -> RuntimeError:
    error = RuntimeError("of a library")
    error.__cause__ = cause
    return error


def test_a_full_disk_is_recognised_behind_other_errors() -> None:
    assert is_full(full())
    assert is_full(caused(caused(full())))
    assert is_full(database_error(sqlite3.SQLITE_FULL))
    assert not is_full(caused(OSError(errno.EACCES, "no")))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
def test_a_damaged_database_is_recognised_behind_other_errors(code: int) -> None:
    assert is_damaged(caused(database_error(code)))
    assert not is_damaged(database_error(sqlite3.SQLITE_FULL))


def test_sqlite_s_own_error_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "database"
    path.write_bytes(b"no database" * 100)
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.DatabaseError) as caught:
        database.execute("SELECT * FROM sqlite_master")
    assert is_damaged(caught.value)


def test_a_full_disk_becomes_a_refusal_and_other_errors_stay() -> None:
    with pytest.raises(Refused, match="the disk is full, so there is no backup"), room_for("backup"):
        raise full()
    with pytest.raises(PermissionError), room_for("backup"):
        raise PermissionError
    with room_for("backup"):
        pass
