import threading
import time
from typing import Any

import pytest

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
    assert acl.util.stop_thread(thread) == 3  # ESRCH, from pthread_join


def test_reports_time_out(acl: Any) -> None:
    stream, _ = acl.rt.create_stream()
    assert acl.rt.process_report(1) == 107012
    acl.rt.subscribe_report(threading.get_ident(), stream)
    began = time.monotonic()
    assert acl.rt.process_report(30) == 507012
    assert time.monotonic() - began >= 0.03


def test_a_thread_without_arguments_and_one_that_fails(acl: Any, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []
    thread, code = acl.util.start_thread(lambda: seen.append("ran"), None)
    assert (code, acl.util.stop_thread(thread), seen) == (0, 0, ["ran"])
    thread, _ = acl.util.start_thread(lambda values: values[9], [1])
    with pytest.raises(RuntimeError, match="IndexError"):
        acl.util.stop_thread(thread)
    assert "IndexError" in capfd.readouterr().err
    with pytest.raises(TypeError, match="callable"):
        acl.util.start_thread("function", [])


def test_what_an_event_tells(acl: Any) -> None:
    stream, _ = acl.rt.create_stream_with_config(0, 1)
    first, last = acl.rt.create_event()[0], acl.rt.create_event_with_flag(8)[0]
    assert acl.rt.event_elapsed_time(first, last) == (0.0, 507000)  # neither is recorded
    assert acl.rt.query_event(first) == (0, 0)
    assert acl.rt.query_event_status(first) == (0, 0)
    acl.rt.subscribe_report(threading.get_ident(), stream)
    acl.rt.record_event(first, stream)
    acl.rt.launch_callback(lambda _: None, 0, 1, stream)  # holds the stream until process_report
    acl.rt.record_event(last, stream)
    assert acl.rt.stream_wait_event(stream, last) == 0
    assert acl.rt.query_event(last) == (1, 0)
    assert acl.rt.stream_query(stream) == (1, 0)
    assert acl.rt.event_elapsed_time(first, last) == (0.0, 107006)
    assert acl.rt.synchronize_event_with_timeout(last, 1) == 507047
    assert acl.rt.synchronize_stream_with_timeout(stream, 1) == 507046
    assert acl.rt.process_report(1000) == 0
    assert acl.rt.synchronize_stream_with_timeout(stream, 10_000) == 0
    assert acl.rt.stream_query(stream) == (0, 0)
    assert acl.rt.query_event_status(last) == (1, 0)
    elapsed, code = acl.rt.event_elapsed_time(first, last)
    assert (code, elapsed > 0) == (0, True)
    assert acl.rt.event_elapsed_time(last, first)[0] == -elapsed
    assert acl.rt.reset_event(last, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 0
    assert acl.rt.query_event_status(last) == (0, 0)
    assert [acl.rt.destroy_event(first), acl.rt.destroy_event(first)] == [0, 107017]
