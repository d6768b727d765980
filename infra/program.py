"""Run a program in its own process group: line by line, with a time limit, ended with this process, without a shell."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import Transient
from infra.ports.values import OnLine


@dataclass(frozen=True)
class Finished:
    """How a program ended: its exit code (negative: a signal) and its last 40 lines."""

    code: int
    tail: tuple[str, ...]


def run_program(
    command: Sequence[str],
    *,
    on_line: OnLine,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path | None = None,
    seconds: float | None = None,
) -> Finished:
    """Run `command` to its end and pass on each line of its output (standard error included).

    The program's standard input is an unused pipe. It closes when this process dies, however it dies, so a program that
    reads it can exit too. On any exception here the whole process group is killed.

    Args:
        command: the argument list.
        on_line: receives each line.
        environment: added to the current environment.
        folder: working directory.
        log: file to which the output is appended.
        seconds: time limit, after which the process group is killed.

    Raises:
        Transient: the time limit was reached.
    """
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        with _time_limit(process, seconds) as expired:
            tail = _read_lines(process, on_line, log)
            code = process.wait()
    except BaseException:
        _kill_group(process)
        raise
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()
    if expired.is_set():
        raise Transient(f"{Path(command[0]).name} was stopped after {seconds:.0f} s")
    return Finished(code, tail)


def _read_lines(process: "subprocess.Popen[str]", on_line: OnLine, log: Path | None) -> tuple[str, ...]:
    """Pass on each line, append it to the log, and return the last lines."""
    tail: deque[str] = deque(maxlen=40)
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(log.open("a", encoding="utf-8")) if log is not None else None
        for raw in process.stdout or ():
            line = raw.rstrip("\n")
            tail.append(line)
            if record is not None:
                record.write(line + "\n")
            on_line(line)
    return tuple(tail)


@contextlib.contextmanager
def _time_limit(process: "subprocess.Popen[str]", seconds: float | None) -> Iterator[threading.Event]:
    """Kill the process group after `seconds`; yield the event that is set then."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill_group(process)

    timer = threading.Timer(seconds, expire) if seconds is not None else None
    if timer is not None:
        timer.start()
    try:
        yield expired
    finally:
        if timer is not None:
            timer.cancel()


def _kill_group(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):  # it has exited by itself
        os.killpg(process.pid, signal.SIGKILL)
