"""What a Board does over a bad link, and while another one deploys."""

import asyncio
import contextlib
import getpass
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.board import answers
from infra.board.client import SshBoard
from infra.board.session import Session
from infra.errors import Transient
from infra.faults import FaultPlan
from tests import boards
from tests.contracts.board.site import NAME, Meddling, Site


class Link:
    """A TCP link to a port that delivers so many bytes a second, until it is to stand still."""

    def __init__(self, port: Any, bytes_a_second: Any) -> None:
        self.pause = 4096 / bytes_a_second
        self.standing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = port
        self.sockets = [self.listener]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def port(self) -> Any:
        return self.listener.getsockname()[1]

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [near, far]
                threading.Thread(target=self.carry, args=(near, far, lambda: self.pause), daemon=True).start()
                threading.Thread(target=self.carry, args=(far, near, lambda: 0), daemon=True).start()

    def carry(self, source: Any, target: Any, pause: Any) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                time.sleep(pause() * len(data) / 4096)
                if self.standing.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for item in self.sockets:
            item.close()


@pytest.fixture
def link(site: Any) -> Iterator[Any]:
    found = Link(site.settings.port, 300_000)
    yield found
    found.close()


def test_a_slow_link_is_only_slow(site: Site, link: Any, tmp_path: Path) -> None:
    slow = SshBoard(NAME, site.settings.model_copy(update={"port": link.port}))
    release = boards.release(tmp_path / "a", "a")
    moved: list[int] = []
    assert slow.install(release, moved.append).changed
    assert sum(moved) == sum(file.size for file in release.files.values())
    assert slow.state().active == "a"


def test_a_link_that_stands_still_is_given_up_at_both_ends(
    site: Site, link: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board must not stay locked by a connection that is dead and that nobody has closed."""
    good = SshBoard(NAME, site.settings)
    good.install(boards.release(tmp_path / "a", "a"))
    settings = site.settings.model_copy(update={"port": link.port})
    second = boards.release(tmp_path / "b", "b", seed=7)
    with monkeypatch.context() as patch:
        patch.setattr("infra.board.connection.KEEPALIVE_SECONDS", 0.2)
        patch.setattr("infra.board.session.IDLE_SECONDS", 3)
        with pytest.raises(Transient):
            SshBoard(NAME, settings, Meddling("board.copy", link.standing.set)).install(second)
    assert good.state().active == "a"
    assert SshBoard(NAME, site.settings, lock_seconds=60).install(second).changed


def test_a_client_with_nothing_to_ask_shows_signs_of_life(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.board.session.BEAT_SECONDS", 0.2)
    monkeypatch.setattr("infra.board.session.IDLE_SECONDS", 1)

    async def idle(seconds: Any) -> Any:
        async with Session(NAME, site.settings, FaultPlan()) as session:
            await asyncio.sleep(seconds)
            return await session.ask("state", answers.state)

    assert asyncio.run(idle(2.5)).active is None
    monkeypatch.setattr("infra.board.session.BEAT_SECONDS", 60)
    with pytest.raises(Transient):
        asyncio.run(idle(2.5))


def test_a_long_copy_keeps_the_board_s_lock(
    site: Site, link: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked while files are on their way; that they arrive keeps the board from giving up."""
    monkeypatch.setattr("infra.board.session.IDLE_SECONDS", 4)
    link.pause = 4096 / 40_000  # the release takes some seven seconds
    assert (
        SshBoard(NAME, site.settings.model_copy(update={"port": link.port}))
        .install(boards.release(tmp_path / "a", "a"))
        .changed
    )


def test_two_deployers_take_turns(site: Site, tmp_path: Path) -> None:
    release = boards.release(tmp_path / "a", "a")
    outcome = []

    class Second(FaultPlan):
        """When the first has the lock, another one tries."""

        def reach(self, point: Any) -> Any:
            if point == "board.plan":
                second = SshBoard(NAME, site.settings, lock_seconds=0)
                with pytest.raises(Transient, match="another deployment is running") as caught:
                    in_thread(lambda: second.install(release))
                outcome.append(caught.value.message)
            return super().reach(point)

    assert SshBoard(NAME, site.settings, Second()).install(release).changed
    assert getpass.getuser() in outcome[0]


def in_thread(work: Any) -> Any:
    """Run beside the event loop that is at work in this thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_nobody_answers(site: Site, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Transient, match="cannot be reached"):
        SshBoard(NAME, site.settings.model_copy(update={"port": port})).state()
