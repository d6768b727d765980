import threading
import time
from typing import Any

from .conftest import D2D


def test_a_stream_works_in_order_and_reports_a_failure_once(acl: Any) -> None:
    stream, code = acl.rt.create_stream()
    assert code == 0
    pointer, _ = acl.rt.malloc(64, 2)
    assert acl.rt.memset_async(pointer, 64, 1, 64, stream) == 0
    assert acl.rt.memset_async(pointer, 64, 2, 32, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 0
    assert acl.util.ptr_to_bytes(pointer, 64) == b"\x02" * 32 + b"\x01" * 32
    assert acl.rt.memcpy_async(pointer, 1, pointer, 2, D2D, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 107000
    assert acl.rt.synchronize_device() == 0
    assert acl.rt.destroy_stream(stream) == 0
    assert acl.rt.synchronize_stream(stream) == 107017


def test_a_stream_belongs_to_its_context(acl: Any) -> None:
    stream, _ = acl.rt.create_stream()
    acl.rt.create_context(0)
    assert acl.rt.synchronize_stream(stream) == 107003
    assert acl.rt.memset_async(1, 1, 1, 1, stream) == 107003


def test_the_null_stream_works_at_once(acl: Any) -> None:
    pointer, _ = acl.rt.malloc(8, 2)
    assert acl.rt.memset_async(pointer, 8, 3, 8, 0) == 0
    assert acl.util.ptr_to_bytes(pointer, 8) == b"\x03" * 8
    assert acl.rt.synchronize_stream(0) == 0


def test_events(acl: Any) -> None:
    stream, _ = acl.rt.create_stream()
    event, code = acl.rt.create_event()
    assert code == 0
    assert acl.rt.record_event(event, stream) == 0
    assert acl.rt.synchronize_event(event) == 0
    assert acl.rt.destroy_event(event) == 0
    assert acl.rt.synchronize_event(event) == 107017


def test_callbacks_run_in_the_thread_that_subscribed(acl: Any) -> None:
    context, _ = acl.rt.get_context()
    stream, _ = acl.rt.create_stream()
    seen: list[Any] = []
    leave = threading.Event()

    def reports(arguments: Any) -> None:
        (number,) = arguments
        assert acl.rt.set_context(number) == 0
        while not leave.is_set():
            acl.rt.process_report(20)

    thread, code = acl.util.start_thread(reports, [context])
    assert code == 0
    assert acl.rt.launch_callback(seen.append, 0, 1, stream) == 107011
    assert acl.rt.subscribe_report(thread, stream) == 0
    assert acl.rt.subscribe_report(thread, stream) == 107011
    pointer, _ = acl.rt.malloc(8, 2)

    def callback(data: Any) -> None:
        seen.append((threading.get_ident(), data, acl.util.ptr_to_bytes(pointer, 1)))

    for number in range(3):
        assert acl.rt.memset_async(pointer, 8, number, 8, stream) == 0
        assert acl.rt.launch_callback(callback, ["data", number], 1, stream) == 0
    assert acl.rt.launch_callback(callback, None, 2, stream) == 100000
    assert acl.rt.synchronize_stream(stream) == 0
    # A blocking callback holds the stream, so each saw the memory as it was at its place.
    assert seen == [(thread, ["data", number], bytes([number])) for number in range(3)]
    assert acl.rt.unsubscribe_report(thread + 1, stream) == 107012
    assert acl.rt.unsubscribe_report(thread, stream) == 0
    leave.set()
    assert acl.util.stop_thread(thread) == 0
    assert acl.util.stop_thread(thread) == 100000


def test_reports_time_out(acl: Any) -> None:
    stream, _ = acl.rt.create_stream()
    assert acl.rt.process_report(1) == 107012
    acl.rt.subscribe_report(threading.get_ident(), stream)
    began = time.monotonic()
    assert acl.rt.process_report(30) == 507012
    assert time.monotonic() - began >= 0.03
