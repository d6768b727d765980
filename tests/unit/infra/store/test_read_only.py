"""A home on a disk that cannot be written: looking works, and nothing is said to be a fault."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from infra.store import fresh_cache, locks
from infra.store.locks import hold, is_held
from infra.store.stat_cache import StatCache


def test_a_lock_can_be_taken_by_who_may_only_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the answers of a read-only file system, which root gets as well."""
    real, path = os.open, tmp_path / "lock"
    path.touch()

    def refusing(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(name))
        return real(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)
    with hold(path):
        assert is_held(path)
    assert not is_held(path)
    with pytest.raises(OSError, match="Read-only"), hold(tmp_path / "absent"):
        pass


def test_a_lock_that_is_no_file_is_an_error_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(IsADirectoryError), hold(tmp_path / "lock"):
        pass
    assert locks.remove_unheld([tmp_path / "absent"]) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_caches_are_not_kept_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    file = tmp_path / "file"
    file.write_text("content")
    os.utime(file, ns=(0, 0))
    monkeypatch.setattr("infra.store.stat_cache.write_text", refuse)
    monkeypatch.setattr("infra.store.stat_cache.settled", lambda *_: True)
    cache = StatCache(tmp_path / "cache.json")
    assert len(cache.digest(file)) == 64
    cache.save()
    monkeypatch.setattr(fresh_cache, "write_text", refuse)
    monkeypatch.setattr(fresh_cache, "settled", lambda *_: True)
    assert not fresh_cache.remember(tmp_path, ["run"], fresh_cache.now_ns(), [file], {})


@pytest.mark.parametrize("text", ["{", "[]", '{"a": {"b": 1}}', '{"a": [{}, "d"]}', "[" * 100_000, '{"a": [[1], "d"]}'])
def test_a_damaged_cache_costs_only_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "cache.json").write_text(text)
    (tmp_path / "file").write_text("content")
    assert len(StatCache(tmp_path / "cache.json").digest(tmp_path / "file")) == 64
    (tmp_path / "verdict.json").write_text(text)
    assert fresh_cache.recall(tmp_path, ["run"]) is None
