"""Processes on several machines, one at a time, on a virtual clock; all that is left to chance follows from a seed.

A process is a greenlet. It hands over where it touches the world (`tests/simulation/seams.py`), and there it may be
killed, its machine may lose power, its disk may be full, or it may stand still for a while.
"""

import asyncio
import hashlib
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import greenlet

from tests.simulation.disk import Disk

EPOCH = 2_000_000_000.0  # the virtual clock begins here; later than the real one, so that kept times are in the past
STEP_SECONDS = 0.002
_CHANGES = ("os.rename", "os.remove", "os.symlink", "os.link", "os.rmdir", "fsync")
KEPT_TRACE = 2000


class Killed(BaseException):
    """The process has ended; what it does from now on has no effect."""


class Violation(Exception):
    """An invariant does not hold."""


class Fault(StrEnum):
    """What goes wrong at a step."""

    KILL = "kill"
    POWER = "power cut"
    STALL = "stall"
    FULL = "disk full"
    BROKEN = "input/output error"
    CLOCK = "clock set"


@dataclass(eq=False)
class Machine:
    """A machine: its folder, its disk, and by how many seconds its clock is wrong."""

    name: str
    folder: Path
    disk: Disk
    skew: float = 0.0
    full_until: float = 0.0
    broken: int = 0
    failed_to_read: bool = False  # ever
    cut: bool = False
    on_boot: Callable[[], None] = lambda: None


@dataclass(eq=False)
class Process:
    """A process, or a thread of one (`parent`)."""

    name: str
    machine: Machine
    work: Callable[[], object]
    number: int
    parent: "Process | None" = None
    wakes: float = 0.0
    ready: Callable[[], bool] | None = None
    dead: bool = False
    over: bool = False
    error: BaseException | None = None
    value: object = None
    threads: "list[Process]" = field(default_factory=list)
    locked: dict[int, None] = field(default_factory=dict)
    fiber: greenlet.greenlet | None = None
    on_end: "Callable[[Process], None]" = lambda _process: None

    @property
    def whole(self) -> "Process":
        """The process that a thread belongs to."""
        return self if self.parent is None else self.parent.whole


class Kernel:
    """One schedule.

    Args:
        folder: an empty one, in a file system in memory.
        seed: decides everything.
        faults: kinds that may happen.
        horizon: steps within which they happen.
    """

    def __init__(self, folder: Path, seed: int, faults: Sequence[Fault] = (), horizon: int = 400) -> None:
        self.folder = folder
        self.dice = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.stalled = False  # a process stood still for longer than a lease lasts
        self.machines: dict[str, Machine] = {}
        self.current: Process | None = None
        self.thread = threading.get_ident()
        self.violation = ""  # that a process has seen which nobody asks for its error
        self.trace: deque[str] = deque(maxlen=KEPT_TRACE)
        self._digest = hashlib.sha256()
        self._main = greenlet.getcurrent()
        self._living: list[Process] = []
        self._numbers = 0
        self._restless = self.dice.choice((0.02, 0.1, 0.3))
        count = self.dice.choice((0, 1, 1, 2, 2, 3, 4)) if faults else 0
        self._changes = 0
        # Half of them strike where names change or bytes are flushed, which is a tenth of all steps.
        self._faults = [(self.dice.randint(1, horizon), self.dice.choice(faults)) for _ in range(count)]
        self._at_changes = [self._faults.pop() for _ in range(count // 2)]
        self._at_changes = [(1 + step // 8, fault) for step, fault in self._at_changes]

    @property
    def signature(self) -> str:
        """A digest of all that has happened."""
        return self._digest.hexdigest()

    def machine(self, name: str) -> Machine:
        """Add a machine."""
        folder = self.folder / name
        folder.mkdir()
        self.machines[name] = Machine(name, folder, Disk(folder))
        return self.machines[name]

    def spawn(
        self,
        machine: Machine,
        name: str,
        work: Callable[[], object],
        on_end: Callable[[Process], None] = lambda _process: None,
        after: float = 0.0,
        parent: Process | None = None,
    ) -> Process:
        """Start a process on a machine, `after` seconds from now."""
        self._numbers += 1
        process = Process(name, machine, work, 10_000 + self._numbers, parent, wakes=self.now + after, on_end=on_end)
        process.fiber = greenlet.greenlet(lambda: self._run(process), self._main)
        if parent is not None:
            parent.threads.append(process)
        self._living.append(process)
        return process

    def note(self, text: str) -> None:
        """Add to the trace."""
        line = f"{self.now:9.3f} {self.current.name if self.current else '-'}: {text}"
        self.trace.append(line)
        self._digest.update(line.encode())

    def point(self, what: str) -> None:
        """A process touches the world; it may not survive that, or another one may go on first."""
        process = self.current
        assert process is not None
        if process.dead:
            raise Killed
        self.steps += 1
        self.now += STEP_SECONDS
        self.note(what)
        self._changes += what.startswith(_CHANGES)
        for plan, now in ((self._faults, self.steps), (self._at_changes, self._changes)):
            while plan and min(plan)[0] <= now:  # others may go on, and be struck, in between
                due = min(plan)
                plan.remove(due)
                self._strike(process, due[1])
        if self.dice.random() < self._restless:
            process.wakes = self.now
            self._hand_over()

    def sleep(self, seconds: float) -> None:
        """Let a process wait."""
        process = self.current
        assert process is not None
        if process.dead:
            raise Killed
        process.wakes = self.now + max(seconds, 0.0)
        self._hand_over()

    def wait(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """Let a process wait until `ready`, at most for some seconds; tells whether it is."""
        process = self.current
        assert process is not None
        if process.dead:
            raise Killed
        if not ready():
            process.ready = ready
            process.wakes = self.now + (1e9 if seconds is None else seconds)
            self._hand_over()
        return ready()

    def kill(self, process: Process) -> None:
        """End a process and its threads, without handing over."""
        for one in (*process.threads, process):
            one.dead = True

    def run(self, seconds: float, steps: int) -> None:
        """Run until all processes have ended.

        Raises:
            Violation: that takes longer.
        """
        while True:
            for machine in [machine for machine in self.machines.values() if machine.cut]:
                self._cut(machine)
            if self.violation:
                raise Violation(self.violation)
            if not self._living:
                return
            able = [item for item in self._living if item.dead or item.wakes <= self.now or _is_ready(item)]
            if able:
                self._resume(able[0] if len(able) == 1 else self.dice.choice(able))
                continue
            self.now = min(item.wakes for item in self._living)
            if self.now > seconds or self.steps > steps:
                names = ", ".join(item.name for item in self._living)
                raise Violation(f"this does not end: {names}")

    def stop(self) -> None:
        """End everything that is left."""
        for process in list(self._living):
            process.on_end = lambda _process: None
            self.kill(process)
        while self._living:
            self._resume(self._living[0])

    def _run(self, process: Process) -> None:
        try:
            if not process.dead:
                process.value = process.work()
        except BaseException as error:  # noqa: BLE001 - kept for who waits for it
            process.error = Killed() if process.dead else error

    def _resume(self, process: Process) -> None:
        self.current, process.ready = process, None
        assert process.fiber is not None
        process.fiber.switch()
        if process.fiber.dead:
            self._end(process)
        self.current = None

    def _end(self, process: Process) -> None:
        from tests.simulation.seams import unlock

        process.over = True
        self._living.remove(process)
        if process.parent is None:
            unlock(process)
            self.kill(process)
            for thread in [item for item in process.threads if not item.over]:
                self._resume(thread)
        self.current = None
        if not process.machine.cut:
            process.on_end(process)

    def _hand_over(self) -> None:
        """Switch to another process, with the event loop of this one put away."""
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self._main.switch()
        finally:
            asyncio._set_running_loop(loop)
        if self.current is not None and self.current.dead:
            raise Killed

    def _strike(self, process: Process, fault: Fault) -> None:
        self.note(f"*** {fault}")
        machine = process.machine
        if fault is Fault.KILL:
            self.kill(process.whole)
            raise Killed
        if fault is Fault.POWER:
            machine.cut = True
            for other in self._living:
                if other.machine is machine:
                    other.dead = True
            raise Killed
        if fault is Fault.STALL:
            seconds = self.dice.choice((1.0, 30.0, 90.0, 200.0))
            self.stalled = self.stalled or seconds > 60
            self._stall(process.whole, seconds)
        elif fault is Fault.FULL:
            machine.full_until = self.now + self.dice.choice((0.05, 1.0, 200.0))
        elif fault is Fault.BROKEN:
            machine.broken, machine.failed_to_read = self.dice.randint(1, 3), True
        else:
            machine.skew += self.dice.choice((-1e8, -3600.0, 3600.0, 1e8))

    def _stall(self, process: Process, seconds: float) -> None:
        """Let a process and all its threads stand still."""
        for one in (process, *process.threads):
            one.wakes = max(one.wakes, self.now + seconds) if one is not self.current else self.now + seconds
            one.ready = None if one is self.current else one.ready
        self._hand_over()

    def _cut(self, machine: Machine) -> None:
        for process in [item for item in self._living if item.machine is machine]:
            process.dead = True
            if process in self._living:
                self._resume(process)
        machine.disk.cut(self.dice)
        machine.cut = False
        machine.full_until = machine.broken = 0
        machine.on_boot()


def _is_ready(process: Process) -> bool:
    return process.ready is not None and process.ready()
