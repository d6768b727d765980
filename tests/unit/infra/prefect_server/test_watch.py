"""A server that vanishes under a run is missed, said once and started again."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Transient
from infra.prefect_server import server
from infra.prefect_server.watch import AGAIN, MISSED, Watch, watched
from infra.services import Services
from infra.settings import PrefectSettings


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a missed server does to logging."""
    monkeypatch.setattr(logging, "raiseExceptions", True)


class World:
    """A server that can be up or not, what was said, and how often it was started."""

    def __init__(self, *, ours: bool = True, starts: bool = True) -> None:
        self.up = True
        self.said: list[str] = []
        self.started = 0
        self._starts = starts
        self.watch = Watch(lambda: self.up, self.start if ours else None, self.said.append)

    def start(self) -> None:
        self.started += 1
        if not self._starts:
            raise Transient("its port is taken")
        self.up = True

    def look(self, times: int) -> None:
        for _ in range(times):
            self.watch.look()


def test_ours_is_started_again_and_said_once() -> None:
    world = World()
    world.look(3)
    assert world.said == []
    world.up = False
    world.look(MISSED + 5)
    assert world.started == 1
    assert world.said == [
        "the server is gone; the work goes on, and the server starts again",
        "the server answers again",
    ]
    assert not logging.raiseExceptions


def test_one_missed_look_is_no_loss() -> None:
    world = World()
    world.up = False
    world.look(MISSED - 1)
    world.up = True
    world.look(3)
    assert (world.said, world.started) == ([], 0)


def test_a_server_of_others_is_waited_for() -> None:
    world = World(ours=False)
    world.up = False
    world.look(100)
    world.up = True
    world.look(1)
    assert world.said == ["the server is gone; the work goes on", "the server answers again"]


def test_a_start_that_fails_is_tried_again_later() -> None:
    world = World(starts=False)
    world.up = False
    world.look(MISSED + AGAIN)
    assert world.started == 2
    assert world.said[1] == "the server does not start: its port is taken"


def test_the_watch_ends_with_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, gone = threading.Event(), threading.Event()
    lines: list[str] = []

    def start(*_: Any) -> bool:
        looked.set()
        return True

    monkeypatch.setattr(Watch, "repeat", lambda self, ended: _repeat(self, ended, gone))
    monkeypatch.setattr(server, "start", start)
    monkeypatch.delenv(server.VARIABLE, raising=False)
    with watched(Services(tmp_path), tmp_path, PrefectSettings(), lines.append):
        assert looked.wait(30)
    assert gone.is_set()
    assert lines == ["the server is gone; the work goes on, and the server starts again"]
    assert not any(thread.name == "prefect-watch" for thread in threading.enumerate())


def _repeat(watch: Watch, ended: threading.Event, gone: threading.Event) -> None:
    for _ in range(MISSED):
        watch.look()
    ended.wait(30)
    gone.set()
