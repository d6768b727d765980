"""Backups and restores that are killed, or find the disk full, leave nothing half-made."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from infra.backup.interrupted import refuse_interrupted, staged_place
from infra.backup.restore import restore
from infra.backup.write import back_up
from infra.errors import Refused
from infra.home import CHECKOUT
from infra.store.receipts import Receipts
from tests.unit.infra.backup.homes import make

pytestmark = pytest.mark.program

PROGRAM = textwrap.dedent(
    """
    import os, resource, signal, sys
    from pathlib import Path
    from infra.backup import restore, write

    what, number, home, archive = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    if what.startswith("full"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    passed = 0

    def dying(function):
        def call(*arguments, **options):
            global passed
            passed += 1
            if passed == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call

    if what == "kill-backup":
        write._Writer._add = dying(write._Writer._add)
    if what == "kill-restore":
        restore._write = dying(restore._write)
    if what == "kill-replace":
        Path.rename = dying(Path.rename)
    try:
        if what.endswith("backup"):
            write.back_up(home, home / "boards.toml", archive)
        else:
            restore.restore(archive, home, replace=True)
    except Exception as error:
        print(type(error).__name__, error)
        sys.exit(3)
    """
)


def run(what: Any, number: Any, home: Any, archive: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, what, str(number), str(home), str(archive)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("number", [1, 8, 14])
def test_a_killed_backup_leaves_none(home: Any, tmp_path: Path, number: int) -> None:
    target = tmp_path / "b.tar.gz"
    assert run("kill-backup", number, home, target).returncode == -signal.SIGKILL
    assert not target.exists()
    back_up(home, home / "boards.toml", target)
    restore(target, tmp_path / "new")


def test_the_next_backup_removes_what_a_killed_one_left(home: Any, tmp_path: Path) -> None:
    place = tmp_path / "backups"
    place.mkdir()
    assert run("kill-backup", 8, home, place / "monday.tar.gz").returncode == -signal.SIGKILL
    (left,) = place.iterdir()
    mine = place / left.name.replace(left.suffixes[-2], f".{os.getpid()}-0123456789ab")
    others = [mine, place / ".notes.tar.tmp", place / f".x.txt{''.join(left.suffixes[-2:])}"]
    for path in others:
        path.write_text("in use, or of somebody else")
        os.utime(path, (0, 0))
    back_up(home, home / "boards.toml", place / "tuesday.tar.gz")
    assert left.exists()  # it may be another machine's, which still writes to it
    os.utime(left, (0, 0))
    back_up(home, home / "boards.toml", place / "wednesday.tar.gz")
    assert set(place.iterdir()) == {*others, place / "tuesday.tar.gz", place / "wednesday.tar.gz"}


@pytest.mark.parametrize(("what", "number"), [("kill-restore", 1), ("kill-restore", 9), ("kill-replace", 1)])
def test_a_killed_restore_leaves_the_old_home(home: Any, archive: Any, what: str, number: int) -> None:
    make(home, 3)
    assert run(what, number, home, archive).returncode == -signal.SIGKILL
    assert len(list(Receipts(home).all())) == 3
    assert restore(archive, home, replace=True).before is not None
    assert not (home.parent / ".home.restoring").exists()
    assert len(list(Receipts(home).all())) == 2


def test_a_restore_that_is_killed_between_the_old_home_and_the_new_one_keeps_both(home: Any, archive: Any) -> None:
    make(home, 3)
    refuse_interrupted(home)
    assert run("kill-replace", 2, home, archive).returncode == -signal.SIGKILL
    (before,) = home.parent.glob("home.before-*")
    assert len(list(Receipts(before).all())) == 3
    with pytest.raises(Refused, match="a restore was interrupted") as told:
        refuse_interrupted(home)
    assert str(before) in str(told.value)
    assert str(staged_place(home)) in str(told.value)
    assert not home.exists()
    assert restore(archive, home).before == before
    assert len(list(Receipts(home).all())) == 2
    refuse_interrupted(home)
    assert {path.name for path in home.parent.glob(".*")} == set()


def test_the_old_home_may_be_moved_back_by_hand(home: Any, archive: Any) -> None:
    assert run("kill-replace", 2, home, archive).returncode == -signal.SIGKILL
    (before,) = home.parent.glob("home.before-*")
    before.rename(home)
    refuse_interrupted(home)
    assert restore(archive, home, replace=True).before != home


def test_a_restore_that_cannot_put_the_new_home_in_place_puts_the_old_one_back(
    home: Any, archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(home, 3)
    real = Path.rename

    def interrupting(path: Path, target: Path) -> Path:
        if path == staged_place(home):
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", interrupting)
    with pytest.raises(KeyboardInterrupt):
        restore(archive, home, replace=True)
    assert len(list(Receipts(home).all())) == 3
    refuse_interrupted(home)


def test_a_full_disk_gives_no_backup_and_no_half_a_home(home: Any, archive: Any, tmp_path: Path) -> None:
    full = run("full-backup", 4096, home, tmp_path / "b.tar")
    assert "the disk is full, so there is no backup" in full.stdout
    assert not list(tmp_path.glob("*b.tar*"))
    full = run("full-restore", 1024, tmp_path / "new", archive)
    assert "the disk is full, so there is no home" in full.stdout
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / ".new.restoring").exists()
