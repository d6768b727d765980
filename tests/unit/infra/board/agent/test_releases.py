"""The release folders; above all that a power cut at any step leaves a board with a working release."""

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.board.agent.failure import CORRUPT, REFUSED, Failure
from infra.board.agent.manifest import parse
from infra.board.agent.probation import LIVE_IMAGES
from infra.board.agent.releases import Releases
from infra.ports.release import Release
from infra.ports.values import LocalFile
from infra.trust.signer import fits
from tests import boards


class PowerCut(BaseException):
    """The board went dark."""


@pytest.fixture
def board(tmp_path: Path) -> Any:
    return opened(tmp_path / "board")


def opened(root: Path, owner: str = "a test") -> Releases:
    """The releases of a board with a keyring; locked."""
    boards.give_keyring(root)
    found = Releases(str(root))
    found.trust.check = fits  # a process of `openssl` each time would take minutes here; test_trust.py has it
    found.lock(0, owner)
    return found


@cache
def _manifest(identifier: str, contents: tuple[tuple[str, bytes], ...]) -> bytes:
    files = {name: LocalFile(Path(name), hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents}
    return boards.signed(Release(identifier, files, "Ascend310", True)).manifest


def manifest(identifier: Any, contents: Any) -> bytes:
    """The signed manifest of a release; the same for the same release."""
    return _manifest(identifier, tuple(contents.items()))


def copy(board: Any, identifier: Any, contents: Any) -> Any:
    """What a client does between plan and settle; returns which files it had to send."""
    plan = board.plan(manifest(identifier, contents))
    for name in plan["missing"]:
        Path(plan["folder"], name + plan["part"]).write_bytes(contents[name])
    return plan["missing"]


def install(board: Any, identifier: Any, contents: Any) -> Any:
    sent = copy(board, identifier, contents)
    board.settle()
    board.switch({})
    return sent


FIRST = {"model.om": b"one", "agent/main.py": b"same"}
SECOND = {"model.om": b"two", "agent/main.py": b"same"}
THIRD = {"model.om": b"three", "agent/main.py": b"same"}
LAST = {"model.om": b"last", "agent/main.py": b"same"}


def content(board: Any, link: Any) -> Any:
    return Path(board.path(link, "model.om")).read_bytes()


def test_install_and_roll_back(board: Any) -> None:
    assert install(board, "a", FIRST) == ["agent/main.py", "model.om"]
    assert install(board, "b", SECOND) == ["model.om"]
    floor = parse(manifest("b", SECOND)).counter
    assert board.state() == {"active": "b", "previous": "a", "releases": ["a", "b"], "floor": floor}
    assert board.rollback("a test", "operator") == {
        "active": "a",
        "previous": "b",
        "releases": ["a", "b"],
        "floor": floor,
    }
    assert content(board, "current") == b"one"
    assert [(entry["event"], entry["release"]) for entry in board.journal.entries()] == [
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
    plan = board.plan(manifest("a", FIRST))
    for name in plan["missing"]:
        Path(plan["folder"], name + plan["part"]).write_bytes(FIRST[name][:-1])
    with pytest.raises(Failure, match="did not arrive completely") as caught:
        board.settle()
    assert caught.value.exit_code == CORRUPT
    assert board.state()["releases"] == []
    assert install(board, "a", FIRST) == ["agent/main.py", "model.om"]


def test_foreign_files_are_removed(board: Any) -> None:
    copy(board, "a", FIRST)
    stranger = board.path("incoming", "a", "agent", "extra.py")
    Path(stranger).write_text("import os")
    board.settle()
    assert [path.name for path in Path(board.path("releases", "a", "agent")).iterdir()] == ["main.py"]


def test_nothing_changes_without_the_lock(tmp_path: Path) -> None:
    board = Releases(str(tmp_path))
    for change in (
        lambda: board.plan(b""),
        board.settle,
        lambda: board.switch({}),
        lambda: board.rollback("", "operator"),
        lambda: board.prune(1),
    ):
        with pytest.raises(Failure, match="lock is not held"):
            change()


def test_an_absent_release_cannot_be_activated(board: Any) -> None:
    copy(board, "a", FIRST)
    with pytest.raises(Failure, match="no release a") as caught:
        board.switch({})
    assert caught.value.exit_code == REFUSED


def test_a_dangling_link_is_not_a_release(board: Any) -> None:
    install(board, "a", FIRST)
    Path(board.path("releases", "a", "manifest.json")).unlink()
    floor = parse(manifest("a", FIRST)).counter
    assert board.state() == {"active": None, "previous": None, "releases": [], "floor": floor}


def test_probation(board: Any) -> None:
    install(board, "a", FIRST)
    assert board.probation.of("a").images == 0  # nothing to return to
    install(board, "b", SECOND)
    assert board.probation.of("b").images == LIVE_IMAGES
    board.rollback("a test", "operator")
    assert board.probation.of("a").images == 0


def test_prune(board: Any) -> None:
    for number, identifier in enumerate("abcde"):
        install(board, identifier, {"model.om": bytes([number]), "agent/main.py": b"same"})
        os.utime(board.path("releases", identifier, "manifest.json"), (number, number))
    board.plan(manifest("unfinished", FIRST))
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
    install(board, "c", THIRD)
    board.prune(0)


def test_a_power_cut_anywhere_leaves_a_working_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for identifier, contents in (("a", FIRST), ("b", SECOND), ("c", THIRD), ("z", LAST)):
        manifest(identifier, contents)  # signed in this order
    number, total = 0, None
    while total is None or number < total:
        number += 1
        board = opened(tmp_path / str(number))
        install(board, "a", FIRST)
        with monkeypatch.context() as patch:
            count = cut_at(patch, number)
            try:
                changes(board)
            except PowerCut:
                pass
            else:
                total = count[0]
        board.held.let_go()
        again = opened(Path(board.root), "after the cut")
        state = again.state()
        assert state["active"] is not None, f"no release in service after step {number}"
        again.check(state["active"])
        install(again, "z", LAST)
        assert again.state()["active"] == "z"
        again.held.let_go()
    assert total > 40
