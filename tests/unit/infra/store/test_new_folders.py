"""Folders on the way to a file are made durable, too."""

import os
from pathlib import Path

import pytest

from infra.store import atomic


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []
    monkeypatch.setattr(atomic, "sync", found.append)
    return found


def test_the_parents_of_new_folders_are_flushed_from_the_top(tmp_path: Path, flushed: list[Path]) -> None:
    atomic.make_folder(tmp_path / "a" / "b")
    assert flushed[-3:] == [tmp_path.parent, tmp_path, tmp_path / "a"]


def test_a_folder_that_another_process_has_created_is_flushed_once(tmp_path: Path, flushed: list[Path]) -> None:
    (tmp_path / "a").mkdir()
    atomic.make_folder(tmp_path / "a")
    atomic.make_folder(tmp_path / "a")
    assert flushed.count(tmp_path) == 1


def test_a_folder_that_was_made_again_is_flushed_again(tmp_path: Path, flushed: list[Path]) -> None:
    atomic.make_folder(tmp_path / "a")
    (tmp_path / "a").rmdir()
    (tmp_path / "between").mkdir()  # takes the inode of the removed one, where the file system gives it out again
    atomic.make_folder(tmp_path / "a")
    assert flushed.count(tmp_path) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_folders_of_others_are_left_alone(flushed: list[Path]) -> None:
    atomic.make_folder(Path("/usr/bin"))
    assert not flushed
