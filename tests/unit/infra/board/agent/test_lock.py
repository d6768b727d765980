"""The lock of a board: one holder, named to whoever waits in vain, and let go of."""

from pathlib import Path

import pytest

from infra.board.agent.failure import REFUSED, TRANSIENT, Failure
from infra.board.agent.lock import Lock


def test_it_names_its_holder(tmp_path: Path) -> None:
    held = Lock(str(tmp_path / "lock"))
    held.take(0, "a test")
    with pytest.raises(Failure, match="running on this board: a test") as caught:
        Lock(held.path).take(0, "another")
    assert caught.value.exit_code == TRANSIENT
    held.let_go()
    again = Lock(held.path)
    again.take(0, "x")
    assert Path(held.path).read_text() == "x"
    again.let_go()


def test_who_does_not_hold_it_changes_nothing(tmp_path: Path) -> None:
    lock = Lock(str(tmp_path / "lock"))
    with pytest.raises(Failure, match="lock is not held") as caught:
        lock.check()
    assert caught.value.exit_code == REFUSED
    lock.let_go()  # of nothing
    lock.take(0, "a test")
    lock.check()
    lock.let_go()
    with pytest.raises(Failure, match="lock is not held"):
        lock.check()
