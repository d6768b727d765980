"""The life cycle of pyACL: initialise, set a device, create a context, and release all of it on every path."""

import importlib
import sys
from types import TracebackType
from typing import Any, Callable, List, Optional, Tuple, Type, TypeVar

from .failure import REFUSED, Failure, explain

HOST = 1  # acl.rt.get_run_mode: 0 on the device itself, 1 on a host with a card (docs/reference/pyacl.md §4.1)
HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE = 1, 2, 3
NORMAL_ONLY = 2

Undo = Tuple[str, Callable[..., int], Tuple[Any, ...]]


def load_acl() -> Any:
    """Import `acl`; raises `Failure` with the reason when that fails (docs/reference/pitfalls.md §8.13)."""
    try:
        return importlib.import_module("acl")
    except Exception as error:
        raise Failure(
            REFUSED,
            f"pyACL cannot be imported: {type(error).__name__}: {error}",
            "source the toolkit's set_env.sh in the same command: a non-interactive shell does not read .bashrc",
        ) from error


Self = TypeVar("Self", bound="Resources")


class Resources:
    """A context manager that releases resources in reverse order."""

    def __init__(self, acl: Any) -> None:
        self.acl = acl
        self._undo: List[Undo] = []

    def check(self, name: str, code: int) -> None:
        """Raise a `Failure` for a return code that is not 0."""
        if code != 0:
            detail = getattr(self.acl, "get_recent_err_msg", str)()
            raise explain("acl." + name, code, str(detail or "").strip())

    def later(self, name: str, function: Callable[..., int], *arguments: Any) -> None:
        """Register the function that releases a resource."""
        self._undo.append((name, function, arguments))

    def close(self) -> Optional[Failure]:
        """Release everything, also after a failure. Returns the first failure."""
        first: Optional[Failure] = None
        while self._undo:
            name, function, arguments = self._undo.pop()
            code = function(*arguments)
            if code:
                first = first or explain("acl." + name, code)
        return first

    def __enter__(self: Self) -> Self:  # noqa: PYI019 - typing.Self is younger than Python 3.6
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def open(self) -> None:
        """Acquire the resources; subclasses override it."""

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        failure = self.close()
        if failure is not None:
            if error is None:
                raise failure
            sys.stderr.write(f"while cleaning up: {failure.message}\n")


class Runtime(Resources):
    """AscendCL, initialised for this process."""

    def __init__(self) -> None:
        super().__init__(load_acl())

    def open(self) -> None:
        """Initialise it."""
        self.check("init", self.acl.init())
        self.later("finalize", self.acl.finalize)

    def device_count(self) -> int:
        """The number of devices."""
        count, code = self.acl.rt.get_device_count()
        self.check("rt.get_device_count", code)
        return int(count)


class Device(Resources):
    """A device with a context, for the current thread; AscendCL is initialised."""

    def __init__(self, acl: Any, number: int = 0) -> None:
        super().__init__(acl)
        self.number = number
        self.host = False

    def open(self) -> None:
        """Set the device and create a context."""
        acl = self.acl
        self.check("rt.set_device", acl.rt.set_device(self.number))
        self.later("rt.reset_device", acl.rt.reset_device, self.number)
        context, code = acl.rt.create_context(self.number)
        self.check("rt.create_context", code)
        self.later("rt.destroy_context", acl.rt.destroy_context, context)
        mode, code = acl.rt.get_run_mode()
        self.check("rt.get_run_mode", code)
        self.host = mode == HOST

    @property
    def upload(self) -> int:
        """The direction of a copy to the device; on the board itself there is only one memory."""
        return HOST_TO_DEVICE if self.host else DEVICE_TO_DEVICE

    @property
    def download(self) -> int:
        """The direction of a copy from the device."""
        return DEVICE_TO_HOST if self.host else DEVICE_TO_DEVICE
