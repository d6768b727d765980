"""Folders of killed connections go with the next one; those in use stay."""

import signal
import subprocess
import sys
from pathlib import Path

from infra.board.agent.work import Work, clear
from infra.home import CHECKOUT

PROGRAM = """
import sys
from infra.board.agent.work import Work
print(Work(sys.argv[1]).make(["pictures"]), flush=True)
sys.stdin.read()
"""


def test_a_folder_is_there_until_it_is_dropped(tmp_path: Path) -> None:
    work = Work(str(tmp_path / "work"))
    first, second = Path(work.make(["a", "b"])), Path(work.make())
    assert {path.name for path in first.iterdir()} == {"a", "b"}
    assert str(first) in work
    work.drop(str(first))
    assert str(first) not in work
    assert list((tmp_path / "work").iterdir()) == [second]
    second.rmdir()  # somebody else was quicker
    work.close()
    assert list((tmp_path / "work").iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_another_uses_stays(tmp_path: Path) -> None:
    place = tmp_path / "work"
    living, killed = (
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        for _ in range(2)
    )
    with living, killed:
        folders = [process.stdout.readline().strip() for process in (living, killed) if process.stdout]
        assert all(Path(folder, "pictures").is_dir() for folder in folders)
        killed.send_signal(signal.SIGKILL)
        killed.wait(30)
        mine = Work(str(place)).make()
        assert {str(path) for path in place.iterdir()} == {folders[0], mine}
        living.communicate(timeout=30)


def test_clearing_follows_no_link_and_takes_files_too(tmp_path: Path) -> None:
    clear(str(tmp_path / "absent"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    place = tmp_path / "work"
    (place / "old" / "pictures").mkdir(parents=True)
    (place / "file").touch()
    (place / "link").symlink_to(tmp_path / "kept")
    clear(str(place))
    assert list(place.iterdir()) == []
    assert (tmp_path / "kept" / "file").exists()
