"""Write boundaries: the points of the fault plan, and every change of the file system that Python makes in a home."""

import errno
import os
import signal
import sys
import threading
from typing import Any

from infra.faults import FaultPlan

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Boundaries(FaultPlan):
    """A fault plan that lists the boundaries that are passed while it is armed, and breaks at one of them.

    Attributes:
        armed: boundaries count now.
        passed: their names, in order.
        kill_at: the boundary at which SIGKILL comes, from 1 on; 0 for none.
        full_at: the boundary at which the disk is full, likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.armed = False
        self.passed: list[str] = []
        self.kill_at = self.full_at = 0
        self._one_at_a_time = threading.Lock()

    def reach(self, point: Any) -> Any:
        self._pass(point)
        return super().reach(point)

    def watch(self, home: Any) -> None:
        """Count changes of files below `home` too, each just before it is made. A process cannot take this back."""

        def audit(event: Any, arguments: Any) -> None:
            if not self.armed or not (event in _CHANGES or (event == "open" and arguments[2] & _WRITING)):
                return
            path = "" if isinstance(arguments[0], int) else os.fsdecode(arguments[0])
            # A relative name belongs to an open folder; that is how a tree is removed.
            if path.startswith(home) or (path and not path.startswith("/")):
                self._pass(f"{event} {path.removeprefix(home)}")

        sys.addaudithook(audit)

    def _pass(self, name: Any) -> None:
        if not self.armed:
            return
        with self._one_at_a_time:
            self.passed.append(name)
            if len(self.passed) == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if len(self.passed) == self.full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
