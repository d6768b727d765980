import errno
import os
import time
from pathlib import Path

import pytest

from infra.store.digests import text_digest
from infra.store.stat_cache import TICK_NS, StatCache, fingerprint, settled


def settle(path: Path) -> None:
    """Wait until the clock has clearly passed the file's last change."""
    while not settled(fingerprint(path), time.time_ns()):
        time.sleep(TICK_NS / 1e9 / 4)


def test_a_settled_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    settle(file)
    cache = StatCache(tmp_path / "cache.json")
    assert cache.digest(file) == text_digest("content")
    cache.save()
    monkeypatch.setattr("infra.store.stat_cache.file_digest", lambda path: "was read")
    assert StatCache(tmp_path / "cache.json").digest(file) == text_digest("content")
    assert StatCache(tmp_path / "cache.json").digest(file, deep=True) == "was read"


def test_a_file_changed_at_the_time_of_its_check_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    cache = StatCache(tmp_path / "cache.json")
    monkeypatch.setattr("infra.store.stat_cache.time.time_ns", lambda: file.stat().st_ctime_ns + TICK_NS // 2)
    cache.digest(file)
    monkeypatch.setattr("infra.store.stat_cache.file_digest", lambda path: "was read")
    assert cache.digest(file) == "was read"


def test_a_change_that_keeps_size_and_mtime_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    settle(file)
    cache = StatCache(tmp_path / "cache.json")
    cache.digest(file)
    times = file.stat()
    file.write_text("altered"[:6])
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert cache.digest(file) == text_digest("altere")


def test_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    settle(file)
    cache = StatCache(tmp_path / "cache.json")
    cache.digest(file)
    file.unlink()
    cache.save()
    assert (tmp_path / "cache.json").read_text() == "{}"


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"file": 1}', '{"file": [[1], "digest"]}'])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    (tmp_path / "cache.json").write_text(damage)
    assert StatCache(tmp_path / "cache.json").digest(file) == text_digest("content")


def test_a_full_disk_loses_the_entries_and_another_error_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    settle(file)

    def save(error: OSError) -> None:
        def refuse(path: Path, text: str) -> None:
            raise error

        monkeypatch.setattr("infra.store.stat_cache.write_text", refuse)
        cache = StatCache(tmp_path / "cache.json")
        cache.digest(file)
        cache.save()

    save(OSError(errno.ENOSPC, "no space"))
    assert not (tmp_path / "cache.json").exists()
    with pytest.raises(PermissionError):
        save(PermissionError())
