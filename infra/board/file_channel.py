"""Files to and from a board: one SFTP channel of its connection, opened when the first file is copied."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh

from infra.board.connection import mapped
from infra.errors import Corrupt, Refused
from infra.ports.values import OnBytes
from infra.settings import BoardSettings

BLOCK_BYTES = 2**20
SECONDS = 120.0  # for the channel to open, and for a block
_CLOSING_SECONDS = 0.5


class _NoChannel(Exception):
    """The server opens no further channel."""


class _NoSftp(Exception):
    """The server has no SFTP."""


class FileChannel:
    """The files of the board `name`, over a connection that is logged in."""

    def __init__(self, name: str, settings: BoardSettings, connection: asyncssh.SSHClientConnection) -> None:
        self.name = name
        self.settings = settings
        self._connection = connection
        self._sftp: asyncssh.SFTPClient | None = None
        self._starting = asyncio.Lock()

    async def send(self, source: Path, target: str, progress: OnBytes | None) -> None:
        """Copy a file to the board; the caller chooses a temporary name as `target`."""
        sftp = await self._client()
        with mapped(self.name, self.settings):
            await sftp.put(str(source), target, progress_handler=_progress(progress))

    async def fetch(self, source: str, target: Path, limit: int) -> None:
        """Copy a file from the board into the new file `target`; a link on the board gives the bytes behind it.

        Raises:
            Corrupt: it has more than `limit` bytes.
            Refused: the file cannot be written here.
        """
        sftp = await self._client()
        with mapped(self.name, self.settings):
            remote = await sftp.open(source, "rb")
        total = 0
        try:
            # "x" refuses a path that exists, a link included.
            with _writing(target), target.open("xb") as local:
                while block := await self._block(remote):
                    total += len(block)
                    if total > limit:
                        raise Corrupt(f"board {self.name} sends more than {limit} bytes for {target.name}")
                    local.write(block)
        finally:
            with contextlib.suppress(asyncssh.Error, OSError):
                await remote.close()

    async def _block(self, remote: asyncssh.SFTPClientFile) -> bytes:
        with mapped(self.name, self.settings):
            data: bytes = await asyncio.wait_for(remote.read(BLOCK_BYTES), SECONDS)
        return data

    async def _client(self) -> asyncssh.SFTPClient:
        async with self._starting:
            if self._sftp is None:
                self._sftp = await self._open()
        return self._sftp

    async def _open(self) -> asyncssh.SFTPClient:
        """Open a second channel for files.

        Raises:
            Refused: the server has no SFTP, or allows one channel only.
        """
        where = f"the SSH server of board {self.name}"
        try:
            with mapped(self.name, self.settings):
                return await asyncio.wait_for(_start(self._connection), SECONDS)
        except _NoChannel as error:
            raise Refused(
                f"{where} opens one channel only: {error}", hint="set MaxSessions to 10, its default, in sshd_config"
            ) from error
        except _NoSftp as error:
            raise Refused(
                f"{where} has no SFTP", hint="add the line `Subsystem sftp internal-sftp` to sshd_config; restart it"
            ) from error


async def _start(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    try:
        return await connection.start_sftp_client()
    except asyncssh.ChannelOpenError as error:
        # A server that refuses the subsystem opens the channel first, and asyncssh says so by this code.
        if error.code == asyncssh.OPEN_REQUEST_SESSION_FAILED:
            raise _NoSftp from error
        # A broken connection refuses the channel, too, and is closed a moment later.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connection.wait_closed(), _CLOSING_SECONDS)
        if connection.is_closed():
            raise asyncssh.ConnectionLost(error.reason) from error
        raise _NoChannel(error.reason) from error
    except asyncssh.SFTPError as error:
        raise _NoSftp from error


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Map errors of this machine's disk."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{target} cannot be written: {error.strerror or error}") from error


def _progress(progress: OnBytes | None) -> Callable[[bytes, bytes, int, int], None] | None:
    if progress is None:
        return None
    seen = 0

    def handler(_source: bytes, _target: bytes, done: int, _total: int) -> None:
        nonlocal seen
        progress(done - seen)
        seen = done

    return handler
