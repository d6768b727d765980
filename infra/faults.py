"""Faults on purpose: a plan says where something breaks, and every client and stand-in takes a plan as an argument.

A plan is text, one fault after the other, separated by commas: `ACTION@POINT[#N]`. POINT is the name that the code
reaches; N is which visit breaks (1, the default, is the first). ACTION is `kill` (SIGKILL of this process),
`error` (a `Transient`), `full` (the `OSError` of a full disk) or any other word, which `reach` returns to the
caller that knows what it means (a stand-in server that cuts a connection, say).
"""

import errno
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from infra.errors import Transient, UserError

_FAULT = re.compile(r"(?P<action>[a-z-]+)@(?P<point>[a-z0-9./*-]+)(#(?P<visit>\d+))?")


@dataclass(frozen=True)
class Fault:
    """One thing that breaks: `action` at the `visit`-th time that `point` is reached."""

    action: str
    point: str
    visit: int = 1


class FaultPlan:
    """The faults to come, and a count of the points reached so far."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = {(fault.point, fault.visit): fault.action for fault in faults}
        self.visits: Counter[str] = Counter()
        self._counting = threading.Lock()

    @classmethod
    def parse(cls, text: str) -> "FaultPlan":
        """Read a plan such as `kill@store.receipt.rename,error@board.copy#2`.

        Raises:
            UserError: the text is not a plan.
        """
        faults = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            match = _FAULT.fullmatch(part)
            if match is None:
                raise UserError(f"'{part}' is not a fault", hint="write ACTION@POINT or ACTION@POINT#N")
            faults.append(Fault(match["action"], match["point"], int(match["visit"] or 1)))
        return cls(faults)

    def reach(self, point: str) -> str | None:
        """Note that `point` is reached, and break if the plan says so.

        Returns:
            The planned action when it is one that only the caller can carry out, else None.

        Raises:
            Transient: the plan says `error`.
            OSError: the plan says `full`.
        """
        with self._counting:
            self.visits[point] += 1
            action = self._faults.get((point, self.visits[point]))
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "full":
            raise OSError(errno.ENOSPC, "No space left on device (fault plan)", point)
        if action == "error":
            raise Transient(f"planned fault at {point}")
        return action


NO_FAULTS = FaultPlan()
