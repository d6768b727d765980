"""The release folders; above all that a power cut at any step leaves a board with a working release."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from infra.board.agent.failure import CORRUPT, REFUSED, TRANSIENT, USER, Failure
from infra.board.agent.files import digest
from infra.board.agent.releases import LIVE_IMAGES, Releases


class PowerCut(BaseException):
    """The board went dark."""


@pytest.fixture
def board(tmp_path: Path) -> Any:
    found = Releases(str(tmp_path / "board"))
    found.lock(0, "a test")
    return found


def manifest(contents: Any) -> Any:
    return {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in contents.items()}


def copy(board: Any, identifier: Any, contents: Any) -> Any:
    """What a client does between plan and settle; returns which files it had to send."""
    plan = board.plan(identifier, manifest(contents))
    for name in plan["missing"]:
        Path(plan["folder"], name + plan["part"]).write_bytes(contents[name])
    return plan["missing"]


def install(board: Any, identifier: Any, contents: Any) -> Any:
    sent = copy(board, identifier, contents)
    board.settle(identifier, manifest(contents))
    board.switch(identifier, {})
    return sent


FIRST = {"model.om": b"one", "agent/main.py": b"same"}
SECOND = {"model.om": b"two", "agent/main.py": b"same"}


def content(board: Any, link: Any) -> Any:
    return Path(board.path(link, "model.om")).read_bytes()


def test_install_and_roll_back(board: Any) -> None:
    assert install(board, "a", FIRST) == ["agent/main.py", "model.om"]
    assert install(board, "b", SECOND) == ["model.om"]
    assert board.state() == {"active": "b", "previous": "a", "releases": ["a", "b"]}
    assert board.rollback("a test", "operator") == {"active": "a", "previous": "b", "releases": ["a", "b"]}
    assert content(board, "current") == b"one"
    assert [(entry["event"], entry["release"]) for entry in board.journal()] == [
        ("switch", "a"),
        ("switch", "b"),
        ("rollback", "a"),
    ]


def test_a_damaged_twin_is_not_linked(board: Any) -> None:
    install(board, "a", FIRST)
    Path(board.path("releases", "a", "agent", "main.py")).write_bytes(b"evil")
    assert copy(board, "b", SECOND) == ["agent/main.py", "model.om"]


def test_where_there_are_no_hard_links(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(board, "a", FIRST)

    def refuse(*arguments: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert install(board, "b", SECOND) == ["model.om"]


def test_incomplete_files_are_reported(board: Any) -> None:
    plan = board.plan("a", manifest(FIRST))
    for name in plan["missing"]:
        Path(plan["folder"], name + plan["part"]).write_bytes(FIRST[name][:-1])
    with pytest.raises(Failure, match="did not arrive completely") as caught:
        board.settle("a", manifest(FIRST))
    assert caught.value.exit_code == CORRUPT
    assert board.state()["releases"] == []
    assert install(board, "a", FIRST) == ["agent/main.py", "model.om"]


def test_foreign_files_are_removed(board: Any) -> None:
    copy(board, "a", FIRST)
    stranger = board.path("incoming", "a", "agent", "extra.py")
    Path(stranger).write_text("import os")
    board.settle("a", manifest(FIRST))
    assert [path.name for path in Path(board.path("releases", "a", "agent")).iterdir()] == ["main.py"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a//b", "", "manifest.json", "a\\b"])
def test_files_stay_in_their_folder(board: Any, name: str) -> None:
    with pytest.raises(Failure) as caught:
        board.plan("a", manifest({name: b""}))
    assert caught.value.exit_code == USER


def test_nothing_changes_without_the_lock(tmp_path: Path) -> None:
    board = Releases(str(tmp_path))
    for change in (
        lambda: board.plan("a", {}),
        lambda: board.settle("a", {}),
        lambda: board.switch("a", {}),
        lambda: board.rollback("", "operator"),
        lambda: board.prune(1),
    ):
        with pytest.raises(Failure, match="lock is not held"):
            change()


def test_the_lock_names_its_holder(board: Any) -> None:
    with pytest.raises(Failure, match="running on this board: a test") as caught:
        Releases(board.root).lock(0, "another")
    assert caught.value.exit_code == TRANSIENT


def test_an_absent_release_cannot_be_activated(board: Any) -> None:
    with pytest.raises(Failure, match="no release x") as caught:
        board.switch("x", {})
    assert caught.value.exit_code == REFUSED


def test_a_torn_journal_is_read_and_continued(board: Any) -> None:
    install(board, "a", FIRST)
    with Path(board.path("journal.jsonl")).open("ab") as file:
        file.write(b'{"event": "swi')
    board.note("switch", "b")
    assert [entry["release"] for entry in board.journal()] == ["a", "b"]


def test_a_dangling_link_is_not_a_release(board: Any) -> None:
    install(board, "a", FIRST)
    Path(board.path("releases", "a", "manifest.json")).unlink()
    assert board.state() == {"active": None, "previous": None, "releases": []}


def test_probation(board: Any) -> None:
    install(board, "a", FIRST)
    assert board.probation() == 0  # nothing to return to
    install(board, "b", SECOND)
    assert board.probation() == LIVE_IMAGES
    board.rollback("a test", "operator")
    assert board.probation() == 0


def test_prune(board: Any) -> None:
    for number, identifier in enumerate("abcde"):
        install(board, identifier, {"model.om": bytes([number])})
        os.utime(board.path("releases", identifier, "manifest.json"), (number, number))
    board.plan("unfinished", manifest(FIRST))
    assert board.prune(3) == ["b", "a"]
    assert board.state()["releases"] == ["c", "d", "e"]
    assert board.prune(0) == ["c"]
    assert not Path(board.path("incoming")).exists()


STEPS = ("replace", "rename", "symlink", "link", "fsync", "unlink", "chmod", "makedirs", "write")


def cut_at(monkeypatch: pytest.MonkeyPatch, number: Any) -> Any:
    """The power goes just before the given one of all calls that change the disk; returns the counter."""
    count = [0]

    def breaking(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                raise PowerCut
            return function(*arguments, **options)

        return call

    for step in STEPS:
        monkeypatch.setattr(os, step, breaking(getattr(os, step)))
    return count


def changes(board: Any) -> None:
    """Everything that an operator does to a board that runs the first release."""
    install(board, "b", SECOND)
    board.rollback("a test", "operator")
    install(board, "c", {"model.om": b"three"})
    board.prune(0)


def test_a_power_cut_anywhere_leaves_a_working_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number, total = 0, None
    while total is None or number < total:
        number += 1
        board = Releases(str(tmp_path / str(number)))
        board.lock(0, "a test")
        install(board, "a", FIRST)
        with monkeypatch.context() as patch:
            count = cut_at(patch, number)
            try:
                changes(board)
            except PowerCut:
                pass
            else:
                total = count[0]
        again = Releases(board.root)
        assert board._lock is not None
        os.close(board._lock)
        again.lock(0, "after the cut")
        state = again.state()
        assert state["active"] is not None, f"no release in service after step {number}"
        whole = json.loads(Path(again.path("current", "manifest.json")).read_text())
        for name, entry in whole.items():
            assert digest(again.path("current", name)) == entry["sha256"]
        install(again, "z", {"model.om": b"last"})
        assert again.state()["active"] == "z"
        assert again._lock is not None
        os.close(again._lock)
    assert total > 40
