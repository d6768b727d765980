"""Boards behind the simulated network: the real client of a session, and the real helper on the board's own disk."""

import asyncio
import base64
import hashlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest import mock

from infra.board import answers, install
from infra.board.agent import serve, start
from infra.board.agent.failure import GATE, Failure
from infra.board.agent.manifest import PAYLOAD_TYPE, signed_bytes
from infra.board.agent.releases import Releases
from infra.board.connection import mapped
from infra.board.file_channel import FileChannel
from infra.board.session import Session
from infra.errors import Transient
from infra.faults import NO_FAULTS
from infra.ports.board import BoardState, Installed
from infra.ports.release import Release
from infra.ports.upkeep import RollbackCause
from infra.ports.values import LocalFile, OnBytes
from infra.settings import BoardSettings
from tests.simulation.kernel import Kernel, Killed, Process, Violation
from tests.simulation.network import Lost, Network

T = TypeVar("T")
CHIP = "Ascend310"
SECRET = b"the secret of the release key"
IDLE_SECONDS = 90.0
SETTINGS = BoardSettings(address="board", user="user", key="key")
KEYRING = json.dumps(
    {
        "fleet": "fleet",
        "chip": CHIP,
        "stand_in": False,
        "keys": [{"id": "key", "kind": "release", "public": "public", "revoked": False}],
    }
)


def fits(_public: str, text: bytes, signature: bytes) -> bool:
    """Check a signature, in place of openssl."""
    return signature == hashlib.sha256(SECRET + text).digest()


def contents(number: int) -> dict[str, bytes]:
    """The files of the release with this number; some are equal to those of others."""
    description = {"id": f"release-{number}", "soc_version": CHIP, "emulated": False, "cann": ""}
    return {
        "agent/main.py": b"# the program\n" * (1 + number // 3),
        "model.om": f"model {number}\n".encode() * 50,
        "labels.txt": b"cat\ndog\n",
        "release.json": json.dumps(description).encode(),
    }


def write_release(number: int, folder: Path) -> None:
    """Write a release with its signed manifest; its counter is its number."""
    files = contents(number)
    listing = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(files.items())
    }
    body = {"schema": 1, "release": f"release-{number}", "chip": CHIP, "fleet": "fleet", "counter": number}
    body |= {"signed": 1_900_000_000 + number, "expires": None, "emulated": False, "files": listing}
    payload = json.dumps(body, sort_keys=True).encode()
    signature = hashlib.sha256(SECRET + signed_bytes(payload)).digest()
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "key", "sig": base64.b64encode(signature).decode()}],
    }
    for name, data in {**files, "manifest.json": json.dumps(envelope).encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def files_of(folder: Path) -> dict[str, LocalFile]:
    """The files of a folder, with their digests."""
    return {
        path.relative_to(folder).as_posix(): LocalFile(
            path, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def releases_of(root: str) -> Releases:
    """The releases of a board, with the check of signatures replaced."""
    releases = Releases(root)
    releases.trust.check = fits
    return releases


class Board:
    """One board: its machine, and the port `Board` to it.

    Attributes:
        bad: releases whose smoke test fails here.
        holders: connections that hold its lock.
        equipped: True once a release was in service; from then on one must be.
        acknowledged: the counter whose installation was reported as done last; 0 when another one may be in service.
        highest: the largest of them.
    """

    def __init__(self, kernel: Kernel, network: Network, name: str) -> None:
        self.name = name
        self.machine = kernel.machine(name)
        self.root = str(self.machine.folder / "atlasflow")
        trust = Path(self.root) / "trust"
        trust.mkdir(parents=True)
        trust.chmod(0o700)
        (trust / "keyring.json").write_text(KEYRING)
        (trust / "keyring.json").chmod(0o600)
        self.machine.disk.settle()
        self.bad: set[str] = set()
        self.equipped = False
        self.acknowledged = self.highest = 0
        self.holders: set[object] = set()
        self._kernel = kernel
        self._network = network

    def install(self, release: Release, progress: OnBytes | None = None) -> Installed:
        """As `SshBoard.install`."""

        async def work(session: Session) -> Installed:
            return await install.install(session, release, progress, 120.0)

        found = self._run(work)
        self.equipped = True
        self.acknowledged = int(release.id.rpartition("-")[2])
        self.highest = max(self.highest, self.acknowledged)
        return found

    def rollback(self) -> BoardState:
        """As `SshBoard.rollback`."""
        self.acknowledged = 0  # an older one is wanted from now on

        async def work(session: Session) -> BoardState:
            await install.lock(session, 120.0)
            return await install.rollback(session, "asked for", RollbackCause.OPERATOR)

        return self._run(work)

    def state(self) -> BoardState:
        """As `SshBoard.state`."""
        return self._run(lambda session: session.ask("state", answers.state))

    def prune(self, keep: int) -> Sequence[str]:
        """As `SshBoard.prune`."""

        async def work(session: Session) -> list[str]:
            await install.lock(session, 120.0)
            return await session.ask("prune", answers.release_ids, keep=keep)

        return self._run(work)

    def probe(self) -> None:
        """Verify what is in service, as at a start, and compare its bytes."""
        if not self.equipped:
            return
        releases = releases_of(self.root)
        before = releases.state()["active"]
        try:
            folder = Path(start.folder_to_run(releases))
            self._allow_fallback(str(before), folder.name.partition("~")[0])
            number = int(releases.state()["active"].rpartition("-")[2])
            found = {path: (folder / path).read_bytes() for path in contents(number)}
        except Failure as failure:
            if self.machine.failed_to_read:
                raise
            raise Violation(f"{self.name} has no working release: {failure.message}") from failure
        if found != contents(number):
            raise Violation(f"{self.name} serves wrong bytes as release {number}")

    def _allow_fallback(self, before: str, after: str) -> None:
        """A release that cannot be read gives way to the one before it."""
        if before != after and not self.machine.failed_to_read:
            raise Violation(f"{self.name} fell back from {before} to {after} without need")
        if before != after:
            self.acknowledged = 0

    def check(self) -> None:
        """After a power cut: what was reported as done is so, and what is in service is whole."""
        releases = releases_of(self.root)
        active = releases.state()["active"]
        if active is None and not self.equipped:
            return
        try:
            releases.check(str(active))
        except (Failure, OSError) as failure:
            raise Violation(f"{self.name} has no working release: {failure}") from failure
        number = int(str(active).rpartition("-")[2])
        if number < self.acknowledged:
            raise Violation(f"{self.name} runs release {number}, but {self.acknowledged} was reported as done")
        if releases.trust.floor().counter < self.highest:
            raise Violation(f"the floor of {self.name} is below release {self.highest}")

    def _run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        async def connected() -> T:
            async with _Session(self._kernel, self._network, self) as session:
                return await work(session)

        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(connected())
        except BaseException as error:
            # A group of tasks wraps what ended one of them.
            if isinstance(error, BaseExceptionGroup) and error.subgroup(Killed):
                raise Killed from error
            raise
        finally:
            loop.close()


class _Session(Session):
    """A session whose connection is simulated; requests and answers are those of the real one."""

    def __init__(self, kernel: Kernel, network: Network, board: Board) -> None:
        super().__init__(board.name, SETTINGS, NO_FAULTS)
        self._kernel = kernel
        self._network = network
        self._board = board
        self._link = _Link(kernel, network, board)

    async def __aenter__(self) -> Self:
        self._link.open()
        self._helper = self._link  # type: ignore[assignment]
        self._files = _Files(self._link, self.name)
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._link.close()


class _Files(FileChannel):
    """The files of a simulated connection."""

    def __init__(self, link: "_Link", name: str) -> None:
        super().__init__(name, SETTINGS, link)  # type: ignore[arg-type]
        self._link = link

    async def send(self, source: Path, target: str, progress: OnBytes | None) -> None:
        with mapped(self.name, self.settings):
            self._link.send(source.read_bytes(), target)


class _Link:
    """A connection: the helper's standard input and output, and files."""

    def __init__(self, kernel: Kernel, network: Network, board: Board) -> None:
        self._kernel = kernel
        self._network = network
        self._board = board
        self._requests: deque[bytes] = deque()
        self._answers: deque[bytes] = deque()
        self._open = False
        self._helper: Process | None = None
        self.stdin = self.stdout = self.stderr = self

    def open(self) -> None:
        self._pass(lambda: None)
        self._open = True
        self._helper = self._kernel.spawn(self._board.machine, f"helper on {self._board.name}", self._serve)

    def close(self) -> None:
        self._open = False

    def write(self, line: bytes) -> None:
        self._pass(lambda: self._requests.append(line))

    async def readline(self) -> bytes:
        helper = self._helper
        assert helper is not None
        self._kernel.wait(lambda: bool(self._answers) or helper.over, 500.0)
        if not self._answers:
            return b""
        self._pass(lambda: None)
        return self._answers.popleft()

    async def read(self, _size: int) -> bytes:
        return b""

    def send(self, data: bytes, target: str) -> None:
        """Write a file on the board, in two blocks."""
        self._pass(lambda: None)

        def receive() -> None:
            with Path(target).open("wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                self._kernel.point("half of a file has arrived")
                file.write(data[len(data) // 2 :])

        process = self._kernel.spawn(self._board.machine, f"files on {self._board.name}", receive)
        self._kernel.wait(lambda: process.over)
        if process.error is not None:
            raise Transient(f"the file {target} was not written: {process.error}")

    def _pass(self, deliver: Callable[[], None]) -> None:
        try:
            self._network.call(self._board.name, deliver, repeatable=False)
        except Lost as error:
            self._open = False
            raise Transient(f"the connection to {self._board.name} was lost") from error

    def _serve(self) -> None:
        """The helper: it answers until the connection ends, or the client is silent for too long."""
        server = serve.Server(self._board.root, int(IDLE_SECONDS))
        server.releases.trust.check = fits
        try:
            while self._kernel.wait(lambda: bool(self._requests) or not self._open, IDLE_SECONDS):
                if not self._requests:
                    return
                request = json.loads(self._requests.popleft())
                holds = request["do"] == "lock"
                answer = server.answer(request)
                self._answers.append(json.dumps(answer).encode() + b"\n")
                if holds and answer["ok"]:
                    self._board.holders.add(self)
                if len(self._board.holders) > 1:
                    self._kernel.violation = f"two clients hold the lock of {self._board.name}"
        finally:
            self._board.holders.discard(self)


def replaced(kernel: Kernel, boards: Mapping[str, Board]) -> list[Any]:
    """What needs a real board: its facts, its program; and the archive of the start program, which is large."""

    def smoke(folder: str, _arguments: list[str], _seconds: float, _begin: Callable[[], None]) -> dict[str, Any]:
        assert kernel.current is not None
        board = boards[kernel.current.machine.name]
        release = json.loads((Path(folder) / "release.json").read_text())["id"]
        kernel.sleep(kernel.dice.choice((1.0, 10.0)))
        if (Path(folder) / "model.om").read_bytes() != contents(int(release.rpartition("-")[2]))["model.om"]:
            raise Violation(f"{board.name} executes wrong bytes as {release}")
        if release in board.bad:
            raise Failure(GATE, "smoke test failed", "do not use it")
        return {"images": 2, "agreement": 1.0, "max_difference": 0.0, "tolerance": 0.1, "milliseconds": 1.0}

    return [
        mock.patch("infra.board.agent.serve.facts", lambda _root: FACTS),
        mock.patch("infra.board.agent.serve.run_agent", smoke),
        mock.patch("infra.board.install.start_program", lambda: b"start"),
        mock.patch("infra.board.agent.start.sys.stderr", mock.Mock()),
    ]


FACTS = {
    "soc_version": CHIP,
    "cann": "",
    "architecture": "aarch64",
    "python": "3.9.2",
    "free_bytes": 2**33,
    "emulated": False,
    "npu": "310 OK",
    "devices": 1,
    "virtual": [],
    "modules": {"numpy": None, "PIL": None, "acl": None},
    "pillow": "9.0",
    "numpy": "1.24",
    "environment": "",
    "user": "user",
    "groups": [],
    "closed_devices": [],
}
