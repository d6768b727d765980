"""The devices of a card: for each a thread of its own, with a context and the loaded model.

A context belongs to a thread (docs/reference/pyacl.md §4.1), so everything about a device happens in its thread.
"""

import re
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from types import TracebackType
from typing import Any, Callable, Deque, Iterable, Iterator, List, Optional, Type, TypeVar

from .device import Device, Runtime
from .failure import USER, Failure
from .model import Model

ALL = "all"

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Self = TypeVar("Self", bound="Card")


class Card:
    """A model on some devices: `with Card("all", path) as card: card.each(work)`.

    Args:
        devices: numbers with commas between them, or `all`.
        path: of the model.
    """

    def __init__(self, devices: str, path: str) -> None:
        self.devices = devices
        self.path = path
        self.runtime = Runtime()
        self.workers: List[Worker] = []

    def __enter__(self: Self) -> Self:  # noqa: PYI019 - typing.Self is younger than Python 3.6
        self.runtime.__enter__()
        try:
            self.workers = [
                Worker(self.runtime.acl, number, self.path) for number in choose(self.devices, self.runtime)
            ]
            for opening in [worker.threads.submit(worker.open) for worker in self.workers]:
                opening.result()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        first = error
        for worker in self.workers:
            try:
                worker.threads.submit(worker.close, first).result()
            except Failure as failure:
                first = failure
            worker.threads.shutdown()
        self.runtime.__exit__(type(first) if first else None, first, trace)
        if first is not None and error is None:
            raise first

    def first(self, work: Callable[[Model], Answer]) -> Answer:
        """Call a function with the model of the first device."""
        return self.workers[0].submit(work).result()

    def each(self, work: Callable[[Model], Answer]) -> List[Answer]:
        """Call a function with the model of each device, at the same time; the answers in the devices' order."""
        return [asked.result() for asked in [worker.submit(work) for worker in self.workers]]

    def spread(self, work: Callable[[Model, Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
        """Share items among the devices, and yield the answers in the items' order.

        With one device, an item begins when the answer before it has been used.
        """
        waiting: "Deque[Future[Answer]]" = deque()
        turns = cycle(self.workers)
        try:
            for item in items:
                if len(waiting) >= 2 * len(self.workers) - 1:
                    yield waiting.popleft().result()
                waiting.append(next(turns).submit(work, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for asked in waiting:
                asked.cancel()


class Worker:
    """One device: its thread, its context and its model."""

    def __init__(self, acl: Any, number: int, path: str) -> None:
        self.number = number
        self.threads = ThreadPoolExecutor(1)
        self._device = Device(acl, number)
        self.model = Model(self._device, path)
        self._opened = False

    def open(self) -> None:
        """Set the device and load the model; in the worker's thread."""
        self._device.__enter__()
        try:
            self.model.__enter__()
        except BaseException as error:
            self._device.__exit__(type(error), error, None)
            raise
        self._opened = True

    def close(self, error: Optional[BaseException]) -> None:
        """Release both; in the worker's thread.

        Args:
            error: that ends the program; without one, a failure of the release itself is raised.
        """
        if not self._opened:
            return
        kind = type(error) if error else None
        try:
            self.model.__exit__(kind, error, None)
        finally:
            self._device.__exit__(kind, error, None)

    def submit(self, work: Callable[..., Answer], *arguments: Any) -> "Future[Answer]":
        """Let the thread call a function with its model and further arguments."""
        return self.threads.submit(work, self.model, *arguments)


def choose(devices: str, runtime: Runtime) -> List[int]:
    """The numbers that a text names, each once.

    Raises:
        Failure: it names none, or one that the card does not have.
    """
    count = runtime.device_count()
    if devices == ALL:
        numbers = list(range(count))
    elif re.match(r"\d+(,\d+)*$", devices):
        numbers = list(dict.fromkeys(map(int, devices.split(","))))
    else:
        raise Failure(USER, f"'{devices}' names no devices", "give numbers such as 0,1 or the word all")
    absent = [number for number in numbers if number >= count]
    if absent or not numbers:
        raise Failure(USER, f"there is no device {absent[0] if absent else 0}; this card has {count}", "`npu-smi info`")
    return numbers
