"""Streams: each has a worker thread and runs its work in order; callbacks run in the subscribed thread."""

import atexit
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from . import _codes
from ._shapes import AclError
from ._world import WORLD, Context

Work = Callable[[], None]


@dataclass
class Report:
    """A callback that waits for its thread; `done` continues a blocking stream."""

    function: Callable[[object], object]
    data: object
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class Event:
    """A mark in a stream."""

    reached: threading.Event = field(default_factory=threading.Event)


def begin(thread: threading.Thread) -> None:
    """Start a thread; at the interpreter's end it would wait for ever."""
    if sys.is_finalizing():
        raise AclError(_codes.UNINITIALIZE, "the interpreter ends, so no thread can be started")
    thread.start()


class Stream:
    """Work that runs in order in the background; the next synchronisation reports the first failure."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.subscriber: int | None = None
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._failure = _codes.SUCCESS
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acl-stream", daemon=True)
        begin(self._thread)

    def put(self, work: Work) -> None:
        """Queue work."""
        self._work.put(work)

    def callback(self, report: Report, *, block: bool) -> None:
        """Queue a callback for the subscriber's thread; with `block` the stream waits until it has run."""

        def deliver() -> None:
            reports(self.subscriber).put(report)
            while block and self.subscriber is not None and not self._closed.is_set() and not report.done.wait(0.05):
                pass

        self.put(deliver)

    def synchronize(self) -> None:
        """Wait until all queued work is done."""
        reached = threading.Event()
        self.put(reached.set)
        reached.wait()
        failure, self._failure = self._failure, _codes.SUCCESS
        if failure != _codes.SUCCESS:
            raise AclError(failure, "work in the stream failed")

    def close(self) -> None:
        """Finish the queued work and stop."""
        self._closed.set()
        self._work.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        WORLD.thread.context = self.context.handle
        while (work := self._work.get()) is not None:
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


@atexit.register
def close_all() -> None:
    """Stop the worker threads before the interpreter exits, so that no inference is running then."""
    for handle, running in WORLD.all(Stream):
        WORLD.handles.pop(handle, None)
        running.close()
