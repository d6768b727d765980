"""`acl.rt`: streams, events, callbacks (docs/reference/pyacl.md §4.1)."""

import queue
import threading
import time
from collections.abc import Callable

from . import _codes
from ._shapes import AclError, code, value_and_code
from ._streams import Event, Report, Stream, reports, run_in
from ._streams import stream as _stream
from ._world import WORLD

_COMPLETE, _NOT_READY = 0, 1  # what query_event and stream_query answer
_RECORDED = 1  # what query_event_status answers; 0 is not ready


@value_and_code(0)
def create_stream() -> int:
    """Create a stream in the thread's context."""
    return WORLD.add(Stream(WORLD.context()))


@value_and_code(0)
def create_stream_with_config(priority: int, flag: int) -> int:  # noqa: ARG001 - neither changes what a stream does
    """Create a stream with a priority and flags."""
    return WORLD.add(Stream(WORLD.context()))


@code
def destroy_stream(stream: int) -> None:
    """Destroy a stream after its work."""
    WORLD.remove(stream, Stream).close()


destroy_stream_force = destroy_stream


@code
def synchronize_stream(stream: int) -> None:
    """Wait for a stream."""
    if stream:
        _stream(stream).synchronize()


@code
def synchronize_stream_with_timeout(stream: int, timeout: int) -> None:
    """Wait for a stream, at most `timeout` ms (-1: for ever)."""
    if stream and not _stream(stream).synchronize(_seconds(timeout)):
        raise AclError(_codes.RT_STREAM_SYNC_TIMEOUT, f"the stream has work after {timeout} ms")


@value_and_code(0)
def stream_query(stream: int) -> int:
    """0 when a stream has no work left, 1 otherwise."""
    return _NOT_READY if stream and _stream(stream).busy else _COMPLETE


@code
def synchronize_device() -> None:
    """Wait for all streams of the thread's device."""
    device = WORLD.context().device
    for _, running in WORLD.all(Stream):
        if running.context.device == device:
            running.synchronize()


@code
def stream_wait_event(stream: int, event: int) -> None:
    """Let a stream wait for an event that is recorded already; one that is not is no obstacle."""
    mark = WORLD.get(event, Event)
    if mark.recorded:
        run_in(stream, lambda: _wait(mark, None))


@value_and_code(0)
def create_event() -> int:
    """Create an event."""
    WORLD.context()
    return WORLD.add(Event())


@value_and_code(0)
def create_event_with_flag(flag: int) -> int:  # noqa: ARG001 - every event here has a time and can be waited for
    """Create an event for a purpose."""
    WORLD.context()
    return WORLD.add(Event())


create_event_ex_with_flag = create_event_with_flag


@code
def record_event(event: int, stream: int) -> None:
    """Set the event when the stream reaches this point."""
    mark = WORLD.get(event, Event)
    mark.record()
    run_in(stream, mark.reach)


@code
def reset_event(event: int, stream: int) -> None:
    """Take the record back when the stream reaches this point."""
    run_in(stream, WORLD.get(event, Event).forget)


@value_and_code(0)
def query_event(event: int) -> int:
    """1 while a recorded event is not reached, 0 otherwise."""
    mark = WORLD.get(event, Event)
    return _NOT_READY if mark.recorded and not mark.reached.is_set() else _COMPLETE


@value_and_code(0)
def query_event_status(event: int) -> int:
    """1 when an event is recorded and reached."""
    mark = WORLD.get(event, Event)
    return _RECORDED if mark.recorded and mark.reached.is_set() else 0


@code
def synchronize_event(event: int) -> None:
    """Wait for a recorded event."""
    _wait(WORLD.get(event, Event), None)


@code
def synchronize_event_with_timeout(event: int, timeout: int) -> None:
    """Wait for a recorded event, at most `timeout` ms (-1: for ever)."""
    _wait(WORLD.get(event, Event), _seconds(timeout))


@value_and_code(0.0)
def event_elapsed_time(start: int, end: int) -> float:
    """Milliseconds between two events; both must be recorded and reached."""
    first, last = WORLD.get(start, Event), WORLD.get(end, Event)
    return (_reached_at(last) - _reached_at(first)) * 1e3


@value_and_code(0)
def event_get_timestamp(event: int) -> int:
    """Microseconds at which an event was reached."""
    return round(_reached_at(WORLD.get(event, Event)) * 1e6)


@code
def destroy_event(event: int) -> None:
    """Destroy an event."""
    WORLD.remove(event, Event)


@code
def set_op_wait_timeout(timeout: int) -> None:  # noqa: ARG001 - nothing here waits that long
    """Limit the time that work waits for an event."""
    WORLD.context()


set_op_execute_time_out = set_op_wait_timeout


@code
def subscribe_report(thread_id: int, stream: int) -> None:
    """Subscribe a thread to the callbacks of a stream."""
    found = WORLD.get(stream, Stream)
    if found.subscriber is not None:
        raise AclError(_codes.RT_STREAM_SUBSCRIBE, "the stream has a subscriber already")
    found.subscriber = thread_id


@code
def unsubscribe_report(thread_id: int, stream: int) -> None:
    """End a subscription."""
    found = WORLD.get(stream, Stream)
    if found.subscriber != thread_id:
        raise AclError(_codes.RT_THREAD_SUBSCRIBE, "this thread is not the stream's subscriber")
    found.subscriber = None


@code
def process_report(timeout: int) -> None:
    """Run the callbacks that wait for this thread, waiting up to `timeout` ms (-1: for ever) for the first."""
    me = threading.get_ident()
    if not any(running.subscriber == me for _, running in WORLD.all(Stream)):
        time.sleep(0.001)  # programs call this in a loop before they subscribe
        raise AclError(_codes.RT_THREAD_SUBSCRIBE, "this thread subscribed to no stream")
    waiting = reports(me)
    try:
        report = waiting.get(timeout=_seconds(timeout))
    except queue.Empty:
        raise AclError(_codes.RT_REPORT_TIMEOUT, f"no report within {timeout} ms") from None
    try:
        report.function(report.data)
    finally:
        report.done.set()


@code
def launch_callback(function: Callable[[object], object], user_data: object, block_type: int, stream: int) -> None:
    """Queue a callback: it runs in the subscriber's thread; with `block_type` 1 the stream waits for it."""
    if not callable(function):
        raise TypeError("parameter must be callable")
    found = _stream(stream)
    if found.subscriber is None:
        raise AclError(_codes.RT_STREAM_SUBSCRIBE, "nobody subscribed to the stream")
    if block_type not in (0, 1):
        raise AclError(_codes.INVALID_PARAM, "block_type is 0 or 1")
    found.callback(Report(function, user_data), block=block_type == 1)


def _seconds(timeout: int) -> float | None:
    if timeout < -1:
        raise AclError(_codes.RT_PARAM_INVALID, f"{timeout} ms is not a limit")
    return None if timeout < 0 else timeout / 1000


def _wait(mark: Event, seconds: float | None) -> None:
    if mark.recorded and not mark.reached.wait(seconds):
        raise AclError(_codes.RT_EVENT_SYNC_TIMEOUT, "the event is not reached in time")


def _reached_at(mark: Event) -> float:
    if not mark.recorded:
        raise AclError(_codes.RT_INTERNAL, "the event is not recorded")
    if not mark.reached.is_set():
        raise AclError(_codes.RT_EVENT_TIMESTAMP, "the event is not reached; synchronize its stream first")
    return mark.time
