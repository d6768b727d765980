"""One connection to a board: a helper process there that answers requests, and SFTP."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncssh

from infra.board import answers
from infra.board.connection import connect, mapped
from infra.board.file_channel import FileChannel
from infra.board.helper import AGENT, COMMAND, MODULES, READY, helper_script
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError
from infra.faults import FaultPlan
from infra.settings import BoardSettings

T = TypeVar("T")

REQUEST_SECONDS = 120.0
MAX_LINE = 2**20  # bytes; a longer answer is cut by asyncssh's window of 2 MiB
BEAT_SECONDS = 15.0  # between signs of life while there are no requests
IDLE_SECONDS = 90  # after this time without one, the board releases its lock
CLASSES: Mapping[int, type[AtlasFlowError]] = {
    error.exit_code: error for error in (UserError, GateFailed, Refused, Transient, Corrupt)
}
MAX_NOISE = 1000  # lines that login scripts print before the helper's own
GREETING = b'{"atlasflow"'
REFUSES_ROOT = b'{"refused": "root"}'


class Session:
    """A logged-in connection with the helper running: `async with Session(…) as session`."""

    def __init__(self, name: str, settings: BoardSettings, faults: FaultPlan) -> None:
        self.name = name
        self.settings = settings
        self.faults = faults
        self._connection: asyncssh.SSHClientConnection | None = None
        self._files: FileChannel | None = None
        self._asking = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None
        self._helper: asyncssh.SSHClientProcess[bytes] | None = None

    async def __aenter__(self) -> Self:
        self.faults.reach("board.connect")
        asyncio.get_running_loop().set_exception_handler(ignore_lost_connections)
        self._connection = await connect(self.name, self.settings)
        self._files = FileChannel(self.name, self.settings, self._connection)
        try:
            await self._start()
        except BaseException:
            self._connection.abort()
            raise
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection is not None  # noqa: S101 - for the type checker: entered
        if self._beating is not None:
            self._beating.cancel()
        if error is None and self._helper is not None:
            self._helper.stdin.write_eof()
            self._connection.close()
            await self._connection.wait_closed()
        else:
            self._connection.abort()

    @property
    def files(self) -> FileChannel:
        """The files of the board."""
        assert self._files is not None  # noqa: S101 - for the type checker: entered
        return self._files

    def step(self, point: str) -> None:
        """Reach the fault point `board.<point>`; `cut` there cuts the connection."""
        if self.faults.reach(f"board.{point}") == "cut" and self._connection is not None:
            self._connection.abort()

    async def ask(
        self, operation: str, reader: Callable[[Any], T], *, timeout: float = REQUEST_SECONDS, **arguments: Any
    ) -> T:
        """Let the helper do something, and read its answer.

        Args:
            operation: a public method of the agent's `Server`.
            reader: makes a value of the answer and raises ValueError, TypeError or KeyError for a wrong one.
            timeout: seconds.
            arguments: of the operation.

        Raises:
            AtlasFlowError: of the class that the answer names.
            Corrupt: the answer cannot be used.
            Transient: the connection ended.
        """
        request = json.dumps({"do": operation, **arguments}).encode() + b"\n"
        helper = self._running()
        async with self._asking:
            with mapped(self.name, self.settings):
                helper.stdin.write(request)
                line = await asyncio.wait_for(helper.stdout.readline(), timeout)
        if not line.endswith(b"\n") and len(line) < MAX_LINE:
            raise Transient(
                f"board {self.name} ended the connection while doing '{operation}'{await self._last_error()}"
            )
        found = answers.read(self.name, lambda text: self._value_or_error(json.loads(text), reader), line)
        if isinstance(found, AtlasFlowError):
            raise found
        return found

    async def facts(self) -> answers.AgentFacts:
        """Ask for everything that the preflight checks."""
        return await self.ask("facts", partial(answers.agent_facts, self.name))

    def _value_or_error(self, answer: Any, reader: Callable[[Any], T]) -> T | AtlasFlowError:
        if answer["ok"] is True:
            return reader(answer["value"])
        kind = CLASSES.get(answers.count(answer["kind"]), Refused)
        error = kind(f"board {self.name}: {answers.text(answer['message'])}", hint=answers.text(answer["hint"]))
        error.board = self.name
        if isinstance(error, Corrupt):
            error.files = tuple(answers.text(name) for name in answers.items(answer.get("files", [])))
        return error

    async def _beat(self) -> None:
        """Send signs of life while files are copied; errors are ignored here, because the copy fails as well."""
        with contextlib.suppress(AtlasFlowError):
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                if not self._asking.locked():
                    await self.ask("still_here", answers.nothing)

    async def try_files(self) -> None:
        """Send a small file to the board and remove it, as a deployment does with large ones.

        Raises:
            AtlasFlowError: there is no SFTP, or the folder cannot be written.
        """
        work = await self.ask("make_work", answers.text)
        await self.files.send(Path(__file__), f"{work}/probe", None)
        await self.ask("drop_work", answers.nothing, folder=work)

    def _running(self) -> "asyncssh.SSHClientProcess[bytes]":
        assert self._helper is not None  # noqa: S101 - for the type checker: entered
        return self._helper

    async def _start(self) -> None:
        """Start the helper and wait for its greeting; lines of login scripts before it are ignored."""
        assert self._connection is not None  # noqa: S101 - for the type checker: connected
        sources = [(name, (AGENT / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES]
        start = {"modules": sources, "root": self.settings.folder, "idle": IDLE_SECONDS}
        boot = json.dumps({**start, "as_root": self.settings.as_root}).encode() + b"\n"
        with mapped(self.name, self.settings):
            self._helper = await self._connection.create_process(COMMAND, encoding=None)
            said = await self._send_line(helper_script(self.settings).encode(), READY)
        if said is not None:
            raise Refused(
                f"board {self.name} runs no command for {self.settings.user}{await self._last_error(said)}",
                hint="its login shell, a forced command of its SSH server, or an expired password ends it: "
                f"try `ssh {self.settings.user}@{self.settings.address} /bin/sh`",
            )
        with mapped(self.name, self.settings):
            said = await self._send_line(boot, GREETING)
        if said == REFUSES_ROOT:
            raise Refused(
                f"board {self.name}: the login {self.settings.user} is root's",
                hint=f"log in as another user, or allow it: boards.{self.name}.as_root = true (boards add --as-root)",
            )
        if said is not None:
            raise Refused(
                f"board {self.name} cannot run {self.settings.python}{await self._last_error(said)}",
                hint=f"log in and try `{self.settings.python} --version`; set boards.{self.name}.python",
            )

    async def _send_line(self, line: bytes, answer: bytes) -> bytes | None:
        """Send a line, and read until one begins with `answer`; None then, else the last line before the end."""
        helper, last = self._running(), b""
        with contextlib.suppress(BrokenPipeError):  # it has ended already; its error output says why
            helper.stdin.write(line)
        for _ in range(MAX_NOISE):
            read = await asyncio.wait_for(helper.stdout.readline(), REQUEST_SECONDS)
            if read.startswith(answer):
                return None
            if not read:
                return last
            last = read.strip() or last
        return last

    async def _last_error(self, said: bytes = b"") -> str:
        """The last line of the helper's standard error, or else what it said instead of an answer."""
        with mapped(self.name, self.settings):
            text = await asyncio.wait_for(self._running().stderr.read(4000), 10)
        lines = (text or said or b"").decode(errors="replace").strip().splitlines()
        return f": {answers.printable(lines[-1])}" if lines else ""


def ignore_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore the errors of requests that asyncssh abandoned when the connection was lost.

    A copy has several requests at once; the error of the first one is raised, and the others add nothing.
    """
    if not isinstance(
        context.get("exception"), asyncssh.ConnectionLost | ConnectionError | asyncssh.SFTPConnectionLost
    ):
        loop.default_exception_handler(context)
