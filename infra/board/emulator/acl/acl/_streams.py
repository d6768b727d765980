"""Streams: each has a worker thread and runs its work in order; callbacks run in the subscribed thread."""

import atexit
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from . import _codes
from ._shapes import AclError
from ._world import WORLD, Context

Work = Callable[[], None]

_ENDED: list[bool] = []  # filled when the interpreter starts to end


@dataclass
class Report:
    """A callback that waits for its thread; `done` continues a blocking stream."""

    function: Callable[[object], object]
    data: object
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class Event:
    """A mark in a stream; `time` is when it was reached, in seconds of a steady clock."""

    recorded: bool = False
    time: float = 0.0
    reached: threading.Event = field(default_factory=threading.Event)

    def record(self) -> None:
        """Expect the mark."""
        self.recorded = True
        self.reached.clear()

    def reach(self) -> None:
        """Pass the mark."""
        self.time = perf_counter()
        self.reached.set()

    def forget(self) -> None:
        """Take the record back."""
        self.recorded = False
        self.reached.clear()


def begin(thread: threading.Thread) -> None:
    """Start a thread; at the interpreter's end it would wait for ever."""
    if sys.is_finalizing():
        raise AclError(_codes.UNINITIALIZE, "the interpreter ends, so no thread can be started")
    thread.start()


class Stream:
    """Work that runs in order in the background; the next synchronisation reports the first failure.

    From the interpreter's end on no thread can run, so the work of a stream runs where it is queued.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.subscriber: int | None = None
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._failure = _codes.SUCCESS
        self._closed = threading.Event()
        self._pending = 0
        self._thread: threading.Thread | None = None
        if not _ENDED:
            self._thread = threading.Thread(target=self._run, name="acl-stream", daemon=True)
            begin(self._thread)

    @property
    def busy(self) -> bool:
        """Whether work is left."""
        return self._pending > 0

    def put(self, work: Work) -> None:
        """Queue work."""
        if self._thread is None:
            self._do(work)
            return

        def counted() -> None:
            self._do(work)
            with WORLD.lock:
                self._pending -= 1

        with WORLD.lock:
            self._pending += 1
        self._work.put(counted)

    def callback(self, report: Report, *, block: bool) -> None:
        """Queue a callback for the subscriber's thread; with `block` the stream waits until it has run."""

        def deliver() -> None:
            reports(self.subscriber).put(report)
            while block and self.subscriber is not None and not self._closed.is_set() and not report.done.wait(0.05):
                pass

        self.put(deliver)

    def synchronize(self, seconds: float | None = None) -> bool:
        """Wait until all queued work is done; returns False when that takes longer than `seconds`."""
        if self._thread is not None:
            reached = threading.Event()
            self._work.put(reached.set)
            if not reached.wait(seconds):
                return False
        failure, self._failure = self._failure, _codes.SUCCESS
        if failure != _codes.SUCCESS:
            raise AclError(failure, "work in the stream failed")
        return True

    def close(self) -> None:
        """Finish the queued work and stop."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closed.set()
        self._work.put(None)
        if threading.current_thread() is not thread:
            thread.join()

    def _run(self) -> None:
        WORLD.thread.context = self.context.handle
        while (work := self._work.get()) is not None:
            work()

    def _do(self, work: Work) -> None:
        try:
            work()
        except AclError as error:
            self._failure = self._failure or error.code


_reports: dict[int, "queue.SimpleQueue[Report]"] = {}
_reports_lock = threading.Lock()


def reports(thread: int | None) -> "queue.SimpleQueue[Report]":
    """The callbacks that wait for a thread."""
    with _reports_lock:
        return _reports.setdefault(thread or 0, queue.SimpleQueue())


def stream(handle: int) -> Stream:
    """Look a stream up; it must belong to the thread's context."""
    found = WORLD.get(handle, Stream)
    if found.context is not WORLD.context():
        raise AclError(_codes.RT_STREAM_CONTEXT, "the stream belongs to another context")
    return found


def run_in(handle: int, work: Work) -> None:
    """Queue work in a stream; the null stream runs it at once."""
    if handle:
        stream(handle).put(work)
    else:
        WORLD.context()
        work()


def close_all() -> None:
    """Stop and forget all streams."""
    for handle, running in WORLD.all(Stream):
        WORLD.handles.pop(handle, None)
        running.close()


@atexit.register
def _end() -> None:
    """Stop the worker threads before the interpreter exits, so that no inference is running then.

    The streams stay: a program's `__del__` that comes later destroys them, as it does on a board.
    """
    _ENDED.append(True)
    for _, running in WORLD.all(Stream):
        running.close()
