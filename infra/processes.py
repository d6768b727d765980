"""Processes of local services: spawn one, look at its family, find free ports."""

import contextlib
import os
import signal
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

import psutil

# SeaweedFS also listens at its ports + 10000, and Linux gives outgoing connections the ports above 32768.
_HIGHEST_PORT = 55_000
_OFFSET = 10_000


def spawn(command: tuple[str, ...], environment: Mapping[str, str], log: Path) -> psutil.Process:
    """Start a program in a session of its own, which outlives this process; its output is appended to `log`.

    Args:
        command: the argument list.
        environment: all of it.
        log: the file, which only this user can read.
    """
    pid = os.posix_spawnp(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return psutil.Process(pid)


def alive(process: psutil.Process) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def listens(process: psutil.Process, port: int) -> bool:
    """True when this process or a descendant of it, and no other program, listens at the TCP port."""
    for member in family(process):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for connection in member.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def listener(port: int) -> psutil.Process | None:
    """The process that listens on this machine at a TCP port, as far as this user may see it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process
    return None


def memory(process: psutil.Process) -> int:
    """Resident bytes of the process and its descendants."""
    total = 0
    for member in family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total


def end(process: psutil.Process, seconds: float) -> None:
    """Send SIGTERM to the process group, and kill what is left after some seconds."""
    members = family(process)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    _, left = psutil.wait_procs(members, timeout=seconds)
    for straggler in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            straggler.kill()
    psutil.wait_procs(left, timeout=5)


def answers(port: int) -> bool:
    """True when something listens on 127.0.0.1 at `port`."""
    return connects("127.0.0.1", port)


def connects(host: str, port: int) -> bool:
    """True when something takes a connection at this address within a second."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def port_is_free(port: int) -> bool:
    """True when a server could listen on 127.0.0.1 at `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int]) -> int:
    """A free port that is not among `taken`; the port 10000 above it is free as well."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken and port < _HIGHEST_PORT and port_is_free(port + _OFFSET):
            return port
