"""The processes of boot scripts: sample their load, and end them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from infra.modelarts.emulator.jobs import ProcessMark

_GRACE_SECONDS = 5.0
_SAMPLE_SECONDS = 60.0  # modelarts.md §1.3: a value a minute
_POLL_SECONDS = 0.05


class Meter:
    """Samples CPU load and memory use, in percent, once a minute."""

    def __init__(self, pid: int) -> None:
        self._next = 0.0
        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)
            self._process.cpu_percent()

    def sample(self) -> Iterator[tuple[float, float]]:
        """Yield a sample if one is due and the process lives."""
        if self._process is not None and time.monotonic() >= self._next:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield self._process.cpu_percent(), round(self._process.memory_percent(), 2)
                self._next = time.monotonic() + _SAMPLE_SECONDS


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM to the whole group, then SIGKILL to what is left of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_orphan(mark: ProcessMark) -> None:
    """End the group of a boot script that outlived the stand-in, but not a later process of the same id."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(mark.pid)
        if abs(process.create_time() - mark.created) < 1:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=_GRACE_SECONDS)


def wait_for_output(log: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the script has written output, so that a fault hits it at work."""
    while process.poll() is None and not log.stat().st_size:
        time.sleep(_POLL_SECONDS)
