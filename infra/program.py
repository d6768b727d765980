"""Run a program: lines as they come, a whole process group that ends with us, a time limit, no shell."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import Transient
from infra.ports.values import Lines


@dataclass(frozen=True)
class Finished:
    """How a program ended: its exit code (negative: a signal) and its last lines."""

    code: int
    tail: tuple[str, ...]


def run_program(
    command: Sequence[str],
    *,
    lines: Lines,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path | None = None,
    seconds: float | None = None,
) -> Finished:
    """Run `command` to its end and pass on each line of its output (standard error included).

    The program gets a pipe as its standard input that nothing is written to: it closes when we die, however we die,
    so a program that watches it can end itself. On any exception here its whole process group is killed.

    Args:
        command: the argument list.
        lines: receives each line.
        environment: added to ours.
        folder: working directory.
        log: file to which the output is appended too.
        seconds: time limit; the process group is killed when it is over.

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
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill_group(process)

    timer = threading.Timer(seconds, expire) if seconds is not None else None
    tail: deque[str] = deque(maxlen=40)
    try:
        if timer is not None:
            timer.start()
        with contextlib.ExitStack() as stack:
            record = stack.enter_context(log.open("a", encoding="utf-8")) if log is not None else None
            assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for above
            for raw in process.stdout:
                line = raw.rstrip("\n")
                tail.append(line)
                if record is not None:
                    record.write(line + "\n")
                lines(line)
        code = process.wait()
    except BaseException:
        _kill_group(process)
        raise
    finally:
        if timer is not None:
            timer.cancel()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()
    if expired.is_set():
        raise Transient(f"{Path(command[0]).name} was stopped after {seconds:.0f} s")
    return Finished(code, tuple(tail))


def _kill_group(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended on its own meanwhile
        os.killpg(process.pid, signal.SIGKILL)
