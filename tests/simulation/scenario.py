"""What all scenarios share: a kernel, users that try again until it works, and the errors that may end a process."""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.board.agent.failure import Failure
from infra.errors import AtlasFlowError, Refused
from tests.simulation.kernel import Fault, Kernel, Killed, Machine, Process, Violation

MAX_ATTEMPTS = 200


class Scenario(ABC):
    """One schedule of one kind.

    Args:
        folder: an empty one in a file system in memory.
        seed: decides everything.
    """

    faults: Sequence[Fault] = (Fault.KILL, Fault.POWER, Fault.STALL, Fault.FULL, Fault.BROKEN, Fault.CLOCK)
    horizon = 400
    seconds = 50_000.0
    steps = 60_000

    def __init__(self, folder: Path, seed: int) -> None:
        self.kernel = Kernel(folder, seed, self.faults, self.horizon)
        self.dice = self.kernel.dice
        self.patches: list[Any] = []
        self._waiting: list[tuple[Machine, str, Callable[[], object], int]] = []

    @abstractmethod
    def begin(self) -> None:
        """Start the processes."""

    def check(self) -> None:  # noqa: B027 - a scenario may have nothing more to check
        """Check what must hold when everything has ended."""

    def check_machine(self, machine: Machine) -> None:  # noqa: B027 - likewise
        """Check what must hold on a machine after a power cut, before anything runs."""

    def persist(self, machine: Machine, name: str, work: Callable[[], object], after: float = 0.0) -> None:
        """Do some work; when it fails, or its process ends in between, begin again a while later."""
        self._try(machine, name, work, 1, after)
        machine.on_boot = lambda: self._boot(machine)

    def tolerated(self, process: Process) -> None:
        """A process may fail, with an error that people understand."""
        if process.error is not None and not isinstance(process.error, Killed):
            check_error(process.error)

    def expect_refusal(self, work: Callable[[], object]) -> None:
        """Do what must be refused.

        Raises:
            Violation: it was not.
        """
        try:
            work()
        except Refused:
            return
        raise Violation("a replay was not refused")

    def _try(self, machine: Machine, name: str, work: Callable[[], object], attempt: int, after: float) -> None:
        if attempt > MAX_ATTEMPTS:
            raise Violation(f"{name} fails again and again")

        def ended(process: Process) -> None:
            if process.error is None:
                return
            if not isinstance(process.error, Killed):
                check_error(process.error)
                self.kernel.note(f"{name} failed: {process.error}")
            self._try(machine, name, work, attempt + 1, self.dice.choice((1.0, 20.0, 100.0)))

        entry = (machine, name, work, attempt)

        def begun() -> object:
            self._waiting.remove(entry)
            try:
                return work()
            finally:
                if machine.cut:
                    self._waiting.append(entry)

        self._waiting.append(entry)
        self.kernel.spawn(machine, name, begun, ended, after)

    def _boot(self, machine: Machine) -> None:
        """The power is back: check the disk, and begin again all that was under way or planned."""
        self.check_machine(machine)
        again = [entry for entry in self._waiting if entry[0] is machine]
        self._waiting = [entry for entry in self._waiting if entry[0] is not machine]
        for _, name, work, attempt in again:
            self._try(machine, name, work, attempt + 1, self.dice.choice((5.0, 60.0)))


def check_error(error: BaseException) -> None:
    """A process may end with an error of ours, or with one of its disk.

    Raises:
        Violation: it is another one, which people would see as a fault of the program.
    """
    if isinstance(error, Violation):
        raise error
    if isinstance(error, AtlasFlowError | Failure):
        return
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO):
        return
    raise Violation(f"a process ended with {type(error).__name__}: {error}") from error
