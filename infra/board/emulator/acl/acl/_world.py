"""The one process-wide state: life cycle, contexts and the table of handles.

AscendCL requires this order: init → set_device → create_context → … → reset_device → finalize
(docs/reference/pyacl.md §4.1). Environment variables of the board's `set_env.sh` choose the machine:
`ATLASFLOW_ACL_SOC` (default Ascend310), `ATLASFLOW_ACL_RUN_MODE` (`device`, as on an Atlas 200, or `host`, as with a
PCIe card) and `ATLASFLOW_ACL_DEVICES` (default 1).
"""

import itertools
import os
import threading
from dataclasses import dataclass, field
from typing import TypeVar

from . import _codes
from ._shapes import AclError

T = TypeVar("T")


@dataclass
class Context:
    """A context of a device; `implicit` when set_device created it."""

    device: int
    implicit: bool
    handle: int = 0


@dataclass
class Device:
    """A device in use: the handle of its implicit context, and how often `set_device` chose it."""

    context: int
    users: int = 0


@dataclass
class World:
    """The state of AscendCL in a process."""

    initialised: bool = False
    finalised: bool = False
    devices: dict[int, Device] = field(default_factory=dict)
    handles: dict[int, object] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(0x0A71_0000, 16))
    lock: "threading.RLock" = field(default_factory=threading.RLock)
    thread: threading.local = field(default_factory=threading.local)

    def add(self, thing: object) -> int:
        """Add an object to the table; returns its handle."""
        with self.lock:
            handle = next(self.numbers)
            self.handles[handle] = thing
            return handle

    def get(self, handle: int, kind: type[T], wrong: int = _codes.RT_INVALID_HANDLE) -> T:
        """Look a handle up; a null handle is an invalid parameter, one of another kind gives the code `wrong`."""
        if not handle:
            raise AclError(_codes.INVALID_PARAM, f"the {kind.__name__.lower()} is null")
        thing = self.handles.get(handle)
        if not isinstance(thing, kind):
            raise AclError(wrong, f"{handle:#x} is not a living {kind.__name__.lower()}")
        return thing

    def remove(self, handle: int, kind: type[T], wrong: int = _codes.RT_INVALID_HANDLE) -> T:
        """Remove an object from the table."""
        with self.lock:
            thing = self.get(handle, kind, wrong)
            del self.handles[handle]
            return thing

    def all(self, kind: type[T]) -> list[tuple[int, T]]:
        """All objects of a kind, with their handles."""
        with self.lock:
            return [(handle, thing) for handle, thing in self.handles.items() if isinstance(thing, kind)]

    def check_initialised(self) -> None:
        """Raise an error before `acl.init`."""
        if not self.initialised:
            raise AclError(_codes.UNINITIALIZE, "acl.init has not been called")

    def context(self) -> Context:
        """The context of the calling thread."""
        current = self.handles.get(getattr(self.thread, "context", 0))
        if not isinstance(current, Context):
            raise AclError(_codes.RT_CONTEXT_NULL, "this thread has no context; call acl.rt.set_context in it")
        return current


def soc_version() -> str:
    """The stand-in's chip."""
    return os.environ.get("ATLASFLOW_ACL_SOC", "Ascend310")


def run_mode() -> int:
    """`DEVICE` or `HOST`."""
    return _codes.HOST if os.environ.get("ATLASFLOW_ACL_RUN_MODE", "device") == "host" else _codes.DEVICE


def device_count() -> int:
    """The number of devices."""
    return int(os.environ.get("ATLASFLOW_ACL_DEVICES", "1"))


WORLD = World()
