"""A command or shell of a stand-in board as an SSH server of Ubuntu starts it: bash, with a terminal when asked for.

Bash of Debian and Ubuntu reads `~/.bashrc` for a command that an SSH server starts: it recognises that by SSH_CLIENT.
A shell without a command is a login shell, which reads `~/.profile`, and that `~/.bashrc`.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

SHELL = "/bin/bash"
BLOCK = 65_536
END_OF_INPUT = b"\x04"  # Ctrl-D


@dataclass(frozen=True)
class Child:
    """A started process: where to write its input, and where its output is read."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    outputs: tuple[asyncio.StreamReader, ...]
    has_terminal: bool


def variables(process: "asyncssh.SSHServerProcess[bytes]") -> dict[str, str]:
    """What an SSH server tells a shell of its connection and its terminal."""
    peer, own = process.get_extra_info("peername"), process.get_extra_info("sockname")
    kind = process.get_terminal_type()
    return {
        "SSH_CLIENT": f"{peer[0]} {peer[1]} {own[1]}",
        "SSH_CONNECTION": f"{peer[0]} {peer[1]} {own[0]} {own[1]}",
        **({"TERM": kind} if kind else {}),
    }


async def start(
    command: str | None, folder: Path, environment: Mapping[str, str], terminal: tuple[int, int] | None
) -> Child:
    """Start a command, or without one a login shell.

    Args:
        command: for the shell.
        folder: working directory.
        environment: the whole environment.
        terminal: columns and rows of the client's terminal; None for pipes.
    """
    arguments = [SHELL, "-l"] if command is None else [SHELL, "-c", command]
    if terminal is None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert process.stdin and process.stdout and process.stderr  # noqa: S101 - for the type checker
        return Child(process, process.stdin, (process.stdout, process.stderr), has_terminal=False)
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", terminal[1], terminal[0], 0, 0))
    try:
        # `setsid --ctty` makes it the controlling terminal, which job control and Ctrl-C need.
        process = await asyncio.create_subprocess_exec(
            *("setsid", "--ctty", *arguments), cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave
        )
    finally:
        os.close(slave)
    return Child(process, *await _streams(master), has_terminal=True)


async def _streams(master: int) -> tuple[asyncio.StreamWriter, tuple[asyncio.StreamReader, ...]]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, os.fdopen(os.dup(master), "rb", 0))
    transport, _ = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(master, "wb", 0)
    )
    return asyncio.StreamWriter(transport, protocol, reader, loop), (reader,)


async def pass_on(child: Child, process: "asyncssh.SSHServerProcess[bytes]") -> int:
    """Copy a command's output to the client; returns the exit code."""

    async def copy(source: asyncio.StreamReader, target: "asyncssh.SSHWriter[bytes]") -> None:
        with contextlib.suppress(OSError):  # a terminal ends with EIO
            while data := await source.read(BLOCK):
                target.write(data)
                await target.drain()

    targets = (process.stdout, process.stderr)
    await asyncio.gather(*(copy(source, target) for source, target in zip(child.outputs, targets, strict=False)))
    return await child.process.wait()


async def feed(child: Child, process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Copy the client's input to a command; the end of the command is not an error."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, asyncssh.Error):
        while data := await process.stdin.read(BLOCK):
            child.stdin.write(data)
            await child.stdin.drain()
        if child.has_terminal:
            child.stdin.write(END_OF_INPUT)
        else:
            child.stdin.close()
