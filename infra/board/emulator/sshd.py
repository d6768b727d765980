"""The SSH server of a stand-in board: `python -m infra.board.emulator.sshd --folder … --port …`.

bash runs commands in the board's home with the board's environment only; SFTP starts there too. Paths below the user's
home of a real board (/home/HwHiAiUser) mean that home, in SFTP and in the text of a command. The server has the rights
of its user, like any SSH server, and listens on 127.0.0.1 only.
"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path

import asyncssh

from infra.board.emulator import password, terminal
from infra.faults import FaultPlan

BANNER = "AtlasFlow_board_stand-in"  # by which the service recognises its own port


class Board:
    """The properties of the board."""

    def __init__(self, folder: Path, user: str, faults: FaultPlan) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.user = user
        self.faults = faults
        self.place = f"/home/{user}/"

    def environment(self) -> dict[str, str]:
        """The environment of a login, before the shell reads its files: no toolkit is sourced."""
        return {
            "ATLASFLOW_BOARD_ROOT": str(self.folder / "root"),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "LOGNAME": self.user,
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "SHELL": terminal.SHELL,
            "STAND_IN_PROGRAMS": str(self.folder / "bin"),
            "USER": self.user,
        }

    def path(self, path: bytes) -> bytes:
        """Map a path of the user's home on a real board to this machine; any other path stays."""
        own = os.fsencode(self.home) + b"/"
        inside = (path + b"/").startswith(self.place.encode()) and not (path + b"/").startswith(own)
        return own + path[len(self.place) :] if inside else path

    def command(self, text: str | None) -> str | None:
        """Map the paths of the user's home on a real board in the text of a command."""
        own = str(self.home).removeprefix(self.place)  # as a machine may have its files below the same folder
        place = re.compile(rf"(?<![\w.~/-]){re.escape(self.place[:-1])}(?!/{re.escape(own)})(?![\w.-])")
        return text and place.sub(lambda _found: str(self.home), text)

    async def run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Run one command (or a shell); when the client disconnects, its process group gets SIGHUP."""
        if self.faults.reach("sshd.command") == "cut":
            process.channel.get_connection().abort()
            return
        environment = self.environment() | terminal.variables(process)
        size = process.get_terminal_size()[:2] if process.get_terminal_type() else None
        child = await terminal.start(self.command(process.command), self.home, environment, size)
        gone = asyncio.create_task(process.wait_closed())
        ended = asyncio.create_task(terminal.pass_on(child, process))
        fed = asyncio.create_task(terminal.feed(child, process))
        try:
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not gone.done():
                process.exit(ended.result() % 256)
        finally:
            if child.process.returncode is None:
                os.killpg(child.process.pid, signal.SIGHUP)
            ended.cancel()
            fed.cancel()
            await gone


class Login(asyncssh.SSHServer):
    """Only the board's user may log in, with the authorised key, or with the password where one is set."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection for a planned cut."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - the signature is the library's
        """Require authentication."""
        if self._board.faults.reach("sshd.login") == "cut" and self._connection is not None:
            self._connection.abort()
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Compare with the board's authorized_keys, which is read each time as in sshd."""
        allowed = asyncssh.read_authorized_keys(str(self._board.folder / "authorized_keys"))
        return username == self._board.user and allowed.validate(key, "", "") is not None

    def public_key_auth_supported(self) -> bool:
        """Allow public keys."""
        return True

    def password_auth_supported(self) -> bool:
        """Allow a password only where the settings give the board one."""
        return password.is_set(self._board.folder)

    async def validate_password(self, username: str, password_: str) -> bool:
        """Compare with the password of the settings."""
        matches = await asyncio.to_thread(password.matches, self._board.folder, password_)
        return username == self._board.user and matches


def sftp_for(board: Board) -> type[asyncssh.SFTPServer]:
    """An SFTP server with the board's home and faults."""

    class Sftp(asyncssh.SFTPServer):
        def map_path(self, path: bytes) -> bytes:
            return board.path(path)

        def exit(self) -> None:
            """Send exit status 0, which `scp` waits for, and asyncssh does not send."""
            with contextlib.suppress(OSError):  # the client has left
                self.channel.exit(0)

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
            self._reach("sshd.open")
            return super().open(path, pflags, attrs)

        def write(self, file_obj: object, offset: int, data: bytes) -> int | Awaitable[int]:
            self._reach("sshd.write")
            return super().write(file_obj, offset, data)

        def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
            self._reach("sshd.rename")
            super().posix_rename(oldpath, newpath)

        def _reach(self, point: str) -> None:
            if board.faults.reach(point) == "cut":
                self.channel.get_connection().abort()

    return Sftp


async def serve(board: Board, port: int) -> None:
    """Listen until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: Login(board),
        server_host_keys=[str(board.folder / "host_key")],
        server_version=BANNER,
        process_factory=board.run,
        sftp_factory=sftp_for(board),
        encoding=None,
        allow_scp=False,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        keepalive_interval=30,
        reuse_address=True,
    )
    sys.stdout.write(f"stand-in board in {board.folder} listens on 127.0.0.1:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="SSH server of a stand-in board")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--faults", default="")
    options = parser.parse_args()
    # The parent may ignore SIGHUP, as nohup does; children would inherit that and outlive their clients.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    board = Board(options.folder.resolve(), options.user, FaultPlan.parse(options.faults))
    os.chdir(board.home)  # relative paths of SFTP start here
    asyncio.run(serve(board, options.port))


if __name__ == "__main__":
    main()
