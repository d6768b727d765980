"""Where the real code meets the simulated world: system calls, clocks, locks, threads, chance.

The seam for files is the interpreter's own: Python reports each system call on files to its audit hooks just before it
is made. What it does not report, and what must give another answer, is replaced for the time of a schedule, and only
for the simulated processes.
"""

import errno
import fcntl
import os
import random
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from tests.simulation.kernel import EPOCH, Kernel, Process

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LOCK_PAUSE = 0.05

_flock = fcntl.flock
_fsync, _close, _kill, _getpid, _urandom = os.fsync, os.close, os.kill, os.getpid, os.urandom
_active: list[Kernel] = []  # the one whose processes are simulated, if any


@contextmanager
def simulated(kernel: Kernel) -> Iterator[None]:
    """Let the kernel's processes live in the simulated world."""
    _hear()
    chance = random.getstate()
    random.seed(kernel.dice.random())
    replaced = {
        (time, "time"): lambda: EPOCH + kernel.now + _machine_skew(kernel),
        (time, "time_ns"): lambda: int((EPOCH + kernel.now + _machine_skew(kernel)) * 1e9),
        (time, "monotonic"): lambda: kernel.now,
        (time, "sleep"): kernel.sleep,
        (os, "fsync"): lambda descriptor: _flush(kernel, descriptor),
        (os, "close"): lambda descriptor: _forget(kernel, descriptor),
        (os, "getpid"): lambda: _process(kernel).whole.number,
        (os, "kill"): lambda number, signal: _look_for(kernel, number, signal),
        (os, "urandom"): kernel.dice.randbytes,
        (secrets, "token_hex"): lambda count=16: kernel.dice.randbytes(count).hex(),
        (tempfile, "_get_candidate_names"): lambda: iter(lambda: kernel.dice.randbytes(6).hex(), ""),
    }
    _active.append(kernel)
    try:
        with _all(
            mock.patch.object(module, name, _inside(kernel, function, getattr(module, name)))
            for (module, name), function in replaced.items()
        ):
            yield
    finally:
        _active.clear()
        random.setstate(chance)


@cache
def _hear() -> None:
    """Add the audit hook, which cannot be taken back; it does nothing without a kernel."""
    sys.addaudithook(_audit)


@contextmanager
def _all(patches: Any) -> Iterator[None]:
    started = []
    try:
        for patch in patches:
            patch.start()
            started.append(patch)
        yield
    finally:
        for patch in reversed(started):
            patch.stop()


def _inside(kernel: Kernel, simulated_one: Any, real: Callable[..., Any]) -> Callable[..., Any]:
    """Call the simulated function from simulated processes, and the real one from elsewhere."""

    def call(*arguments: Any, **options: Any) -> Any:
        if kernel.current is None or threading.get_ident() != kernel.thread:
            return real(*arguments, **options)
        return simulated_one(*arguments, **options)

    return call


def _process(kernel: Kernel) -> Process:
    assert kernel.current is not None
    return kernel.current


def _machine_skew(kernel: Kernel) -> float:
    return _process(kernel).machine.skew


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    kernel = _active[0] if _active else None
    if kernel is None or kernel.current is None or threading.get_ident() != kernel.thread:
        return
    if event == "open":
        _touch(kernel, event, arguments[0], writes=bool(arguments[2] & _WRITING))
    elif event in _CHANGES:
        _touch(kernel, event, arguments[0], writes=True)
    elif event == "fcntl.flock":
        _lock(kernel, arguments[0], arguments[1])


def _touch(kernel: Kernel, event: str, named: Any, *, writes: bool) -> None:
    """A file is opened or changed."""
    if isinstance(named, int):
        return
    path = os.fsdecode(named)
    root = str(kernel.folder)
    # A relative name belongs to an open folder; that is how a tree is removed.
    if not path.startswith(root) and (path.startswith("/") or event == "open"):
        return
    kernel.point(f"{event}{'+' if writes else ''} {path.removeprefix(root)}")
    _break(kernel, writes=writes)


def _break(kernel: Kernel, *, writes: bool) -> None:
    machine = _process(kernel).machine
    if machine.full_until > kernel.now and writes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if machine.broken:
        machine.broken -= 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _flush(kernel: Kernel, descriptor: int) -> None:
    process = _process(kernel)
    path = _path(descriptor)
    if not path.startswith(str(process.machine.folder)):
        return
    kernel.point(f"fsync {path.removeprefix(str(kernel.folder))}")
    _break(kernel, writes=True)
    now = EPOCH + kernel.now + process.machine.skew
    os.utime(descriptor, (now, now))
    process.machine.disk.flush(descriptor)


def _path(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _lock(kernel: Kernel, descriptor: int, operation: int) -> None:
    """Take a lock without blocking the other processes; the interpreter takes it again, which succeeds at once."""
    process = _process(kernel)
    kernel.point(f"flock {operation}")
    process.whole.locked[descriptor] = None
    if operation & (fcntl.LOCK_NB | fcntl.LOCK_UN):
        return
    while True:
        try:
            with _unheard():
                _flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            kernel.sleep(_LOCK_PAUSE)
        else:
            return


@contextmanager
def _unheard() -> Iterator[None]:
    kernel = _active.pop()
    try:
        yield
    finally:
        _active.append(kernel)


def _forget(kernel: Kernel, descriptor: int) -> None:
    _process(kernel).whole.locked.pop(descriptor, None)
    _close(descriptor)


def unlock(process: Process) -> None:
    """Close what an ended process held locked, as the system does."""
    for descriptor in process.locked:
        _close(descriptor)
    process.locked.clear()


def _look_for(kernel: Kernel, number: int, signal: int) -> None:
    assert signal == 0
    if not any(process.number == number for process in kernel._living):
        raise ProcessLookupError
