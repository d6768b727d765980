"""`acl.rt`: devices, contexts, streams, events, memory, callbacks (docs/reference/pyacl.md §4.1)."""

import queue
import threading
import time
from collections.abc import Callable

from . import _codes
from ._memory import MEMORY, TOTAL
from ._shapes import AclError, code, value_and_code
from ._streams import Event, Report, Stream, reports, run_in
from ._streams import stream as _stream
from ._world import WORLD, Context, device_count, run_mode


@code
def set_device(device_id: int) -> None:
    """Choose a device; creates its implicit context and enters it."""
    WORLD.check_initialised()
    if not 0 <= device_id < device_count():
        raise AclError(_codes.RT_INVALID_DEVICE, f"there is no device {device_id}")
    with WORLD.lock:
        if device_id not in WORLD.devices:
            context = Context(device_id, implicit=True)
            context.handle = WORLD.devices[device_id] = WORLD.add(context)
    WORLD.thread.context = WORLD.devices[device_id]


@code
def reset_device(device_id: int) -> None:
    """Reset a device and free everything on it."""
    from .mdl import forget_models  # noqa: PLC0415 - mdl needs rt's neighbours first

    WORLD.check_initialised()
    if device_id not in WORLD.devices:
        raise AclError(_codes.RT_INVALID_DEVICE, f"device {device_id} was not set")
    for handle, running in WORLD.all(Stream):
        if running.context.device == device_id:
            WORLD.handles.pop(handle, None)
            running.close()
    forget_models(device_id)
    for handle, context in WORLD.all(Context):
        if context.device == device_id:
            WORLD.handles.pop(handle, None)
    del WORLD.devices[device_id]
    if not WORLD.devices:
        MEMORY.release_all(device=True)


@value_and_code(0)
def get_device() -> int:
    """The device of the thread's context."""
    return WORLD.context().device


@value_and_code(0)
def get_device_count() -> int:
    """The number of devices; works before `acl.init`."""
    return device_count()


@value_and_code(0)
def get_run_mode() -> int:
    """0 on the device itself, 1 on a host with a card; works before `acl.init` (pyacl.md §4.1)."""
    return run_mode()


@value_and_code(0)
def create_context(device_id: int) -> int:
    """Create a context and enter it."""
    WORLD.check_initialised()
    if device_id not in WORLD.devices:
        raise AclError(_codes.RT_INVALID_DEVICE, f"device {device_id} was not set")
    context = Context(device_id, implicit=False)
    context.handle = WORLD.thread.context = WORLD.add(context)
    return context.handle


@code
def destroy_context(context: int) -> None:
    """Destroy a context of the program."""
    if WORLD.get(context, Context).implicit:
        raise AclError(_codes.RT_INVALID_HANDLE, "the implicit context ends with reset_device")
    WORLD.remove(context, Context)


@code
def set_context(context: int) -> None:
    """Enter a context in this thread."""
    WORLD.get(context, Context)
    WORLD.thread.context = context


@value_and_code(0)
def get_context() -> int:
    """The context of this thread."""
    return WORLD.context().handle


@value_and_code(0)
def create_stream() -> int:
    """Create a stream in the thread's context."""
    return WORLD.add(Stream(WORLD.context()))


@code
def destroy_stream(stream: int) -> None:
    """Destroy a stream after its work."""
    WORLD.remove(stream, Stream).close()


@code
def synchronize_stream(stream: int) -> None:
    """Wait for a stream."""
    if stream:
        _stream(stream).synchronize()


@code
def synchronize_device() -> None:
    """Wait for all streams of the thread's device."""
    device = WORLD.context().device
    for _, running in WORLD.all(Stream):
        if running.context.device == device:
            running.synchronize()


@value_and_code(0)
def create_event() -> int:
    """Create an event."""
    WORLD.context()
    return WORLD.add(Event())


@code
def record_event(event: int, stream: int) -> None:
    """Set the event when the stream reaches this point."""
    mark = WORLD.get(event, Event)
    mark.reached.clear()
    run_in(stream, mark.reached.set)


@code
def synchronize_event(event: int) -> None:
    """Wait for a recorded event."""
    WORLD.get(event, Event).reached.wait()


@code
def destroy_event(event: int) -> None:
    """Destroy an event."""
    WORLD.remove(event, Event)


@value_and_code(0)
def malloc(size: int, policy: int) -> int:  # noqa: ARG001 - every policy gives the same memory here
    """Device memory."""
    WORLD.context()
    return MEMORY.allocate(size, device=True)


@value_and_code(0)
def malloc_align32(size: int, policy: int) -> int:  # noqa: ARG001 - as malloc, without the 32 bytes of padding
    """Device memory in a multiple of 32 bytes."""
    WORLD.context()
    return MEMORY.allocate(size, device=True, round_up=False)


@code
def free(ptr: int) -> None:
    """Free device memory."""
    MEMORY.free(ptr, device=True)


@value_and_code(0)
def malloc_host(size: int) -> int:
    """Host memory."""
    WORLD.context()
    return MEMORY.allocate(size, device=False)


@code
def free_host(ptr: int) -> None:
    """Free host memory."""
    MEMORY.free(ptr, device=False)


@code
def memset(ptr: int, max_count: int, value: int, count: int) -> None:
    """Fill memory."""
    _memset(ptr, max_count, value, count)


@code
def memset_async(ptr: int, max_count: int, value: int, count: int, stream: int) -> None:
    """Fill memory, in a stream."""
    run_in(stream, lambda: _memset(ptr, max_count, value, count))


@code
def memcpy(dst: int, dest_max: int, src: int, count: int, kind: int) -> None:
    """Copy memory; the direction must be correct."""
    _memcpy(dst, dest_max, src, count, kind)


@code
def memcpy_async(dst: int, dest_max: int, src: int, count: int, kind: int, stream: int) -> None:
    """Copy memory, in a stream."""
    run_in(stream, lambda: _memcpy(dst, dest_max, src, count, kind))


@value_and_code(0, 0)
def get_mem_info(attr: int) -> tuple[int, int]:
    """Free and total bytes; `attr` 0 is DDR, 1 HBM."""
    WORLD.context()
    if attr not in (0, 1):
        raise AclError(_codes.INVALID_PARAM, f"there is no memory of kind {attr}")
    return TOTAL - MEMORY.used, TOTAL


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
        report = waiting.get(timeout=None if timeout < 0 else timeout / 1000)
    except queue.Empty:
        raise AclError(_codes.RT_REPORT_TIMEOUT, f"no report within {timeout} ms") from None
    try:
        report.function(report.data)
    finally:
        report.done.set()


@code
def launch_callback(function: Callable[[object], object], user_data: object, block_type: int, stream: int) -> None:
    """Queue a callback: it runs in the subscriber's thread; with `block_type` 1 the stream waits for it."""
    found = _stream(stream)
    if found.subscriber is None:
        raise AclError(_codes.RT_STREAM_SUBSCRIBE, "nobody subscribed to the stream")
    if block_type not in (0, 1):
        raise AclError(_codes.INVALID_PARAM, "block_type is 0 or 1")
    found.callback(Report(function, user_data), block=block_type == 1)


def _memset(ptr: int, max_count: int, value: int, count: int) -> None:
    if count > max_count:
        raise AclError(_codes.RT_PARAM_INVALID, f"{count} bytes do not fit into {max_count}")
    with MEMORY.view(ptr, count) as target:
        target[:] = value & 0xFF


def _memcpy(dst: int, dest_max: int, src: int, count: int, kind: int) -> None:
    if count > dest_max:
        raise AclError(_codes.RT_PARAM_INVALID, f"{count} bytes do not fit into {dest_max}")
    if not _codes.HOST_TO_HOST <= kind <= _codes.MEMCPY_DEFAULT:
        raise AclError(_codes.INVALID_PARAM, f"{kind} is not a direction")
    if run_mode() == _codes.HOST and kind != _codes.MEMCPY_DEFAULT:
        found = MEMORY.check(src, count), MEMORY.check(dst, count)
        sides = tuple(block is not None and block.device for block in found)
        said = (
            kind in (_codes.DEVICE_TO_HOST, _codes.DEVICE_TO_DEVICE),
            kind in (_codes.HOST_TO_DEVICE, _codes.DEVICE_TO_DEVICE),
        )
        if sides != said:
            raise AclError(_codes.RT_MEMORY_TYPE, f"the addresses do not lie where direction {kind} says")
    with MEMORY.view(src, count, short=True) as source, MEMORY.view(dst, count) as target:
        target[: source.size] = source
