"""`acl.rt`: devices, contexts and memory (docs/reference/pyacl.md §4.1); streams and events are in `_waits`."""

from . import _codes
from ._memory import MEMORY, TOTAL
from ._models import forget_models
from ._shapes import AclError, code, value_and_code
from ._streams import Stream, run_in
from ._world import WORLD, Context, Device, device_count, run_mode


@code
def set_device(device_id: int) -> None:
    """Choose a device; creates its implicit context and enters it. Each call needs a `reset_device` of its own."""
    WORLD.check_initialised()
    with WORLD.lock:
        device = _opened(device_id)
        device.users += 1
    WORLD.thread.context = device.context


@code
def reset_device(device_id: int) -> None:
    """Give a device back; the last one frees everything on it."""
    WORLD.check_initialised()
    device = _in_use(device_id)
    device.users -= 1
    if device.users <= 0:
        _close(device_id)


@code
def reset_device_force(device_id: int) -> None:
    """Free everything on a device, however often it was set."""
    WORLD.check_initialised()
    _in_use(device_id)
    _close(device_id)


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
    """Create a context and enter it; the device need not be set."""
    WORLD.check_initialised()
    with WORLD.lock:
        _opened(device_id)
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
def malloc(size: int, policy: int) -> int:  # noqa: ARG001 - every policy gives the same memory here
    """Device memory."""
    WORLD.context()
    return MEMORY.allocate(size, device=True)


malloc_cached = malloc


@value_and_code(0)
def malloc_align32(size: int, policy: int) -> int:  # noqa: ARG001 - as malloc, without the 32 bytes of padding
    """Device memory in a multiple of 32 bytes."""
    WORLD.context()
    return MEMORY.allocate(size, device=True, round_up=False)


@code
def mem_flush(ptr: int, size: int) -> None:
    """Write a processor cache back; the stand-in has none."""
    MEMORY.check(ptr, size)


mem_invalidate = mem_flush


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
    """Copy memory; the runtime finds out where the addresses lie and only checks that `kind` is one."""
    _memcpy(dst, dest_max, src, count, kind)


@code
def memcpy_async(dst: int, dest_max: int, src: int, count: int, kind: int, stream: int) -> None:
    """Copy memory, in a stream; the direction must be correct."""
    _check_direction(dst, src, count, kind)
    run_in(stream, lambda: _memcpy(dst, dest_max, src, count, kind))


@code
def memcpy2d(dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: int) -> None:
    """Copy `height` rows of `width` bytes between rows of other lengths."""
    _memcpy2d(dst, dpitch, src, spitch, width, height, kind)


@code
def memcpy2d_async(
    dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: int, stream: int
) -> None:
    """As `memcpy2d`, in a stream."""
    run_in(stream, lambda: _memcpy2d(dst, dpitch, src, spitch, width, height, kind))


@value_and_code(0, 0)
def get_mem_info(attr: int) -> tuple[int, int]:
    """Free and total bytes; `attr` 0 is DDR, 1 HBM."""
    WORLD.context()
    if attr not in (0, 1):
        raise AclError(_codes.INVALID_PARAM, f"there is no memory of kind {attr}")
    return TOTAL - MEMORY.used, TOTAL


def _opened(device_id: int) -> Device:
    if not 0 <= device_id < device_count():
        raise AclError(_codes.RT_INVALID_DEVICE, f"there is no device {device_id}")
    if device_id not in WORLD.devices:
        context = Context(device_id, implicit=True)
        context.handle = WORLD.add(context)
        WORLD.devices[device_id] = Device(context.handle)
    return WORLD.devices[device_id]


def _in_use(device_id: int) -> Device:
    if device_id not in WORLD.devices:
        raise AclError(_codes.RT_INVALID_DEVICE, f"device {device_id} was not set")
    return WORLD.devices[device_id]


def _close(device_id: int) -> None:
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


def _memset(ptr: int, max_count: int, value: int, count: int) -> None:
    if count == 0:
        return
    if count > max_count:
        raise AclError(_codes.RT_PARAM_INVALID, f"{count} bytes do not fit into {max_count}")
    with MEMORY.view(ptr, count) as target:
        target[:] = value & 0xFF


def _memcpy(dst: int, dest_max: int, src: int, count: int, kind: int) -> None:
    if count == 0:
        return
    if not dst or not src:
        raise AclError(_codes.INVALID_PARAM, "an address is null")
    if not _codes.HOST_TO_HOST <= kind <= _codes.MEMCPY_DEFAULT:
        raise AclError(_codes.INVALID_PARAM, f"{kind} is not a direction")
    if count > dest_max:
        raise AclError(_codes.RT_PARAM_INVALID, f"{count} bytes do not fit into {dest_max}")
    with MEMORY.view(src, count, short=True) as source, MEMORY.view(dst, count) as target:
        target[: source.size] = source


def _memcpy2d(dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: int) -> None:
    if not width or not height or width > min(dpitch, spitch):
        raise AclError(_codes.RT_PARAM_INVALID, f"rows of {width} bytes do not fit into {spitch} and {dpitch}")
    for row in range(height):
        _memcpy(dst + row * dpitch, dpitch, src + row * spitch, width, kind)


def _check_direction(dst: int, src: int, count: int, kind: int) -> None:
    if run_mode() != _codes.HOST or not count or not 0 <= kind < _codes.MEMCPY_DEFAULT or not dst or not src:
        return
    sides = tuple(block is not None and block.device for block in (MEMORY.check(src, count), MEMORY.check(dst, count)))
    said = (
        kind in (_codes.DEVICE_TO_HOST, _codes.DEVICE_TO_DEVICE),
        kind in (_codes.HOST_TO_DEVICE, _codes.DEVICE_TO_DEVICE),
    )
    if sides != said:
        raise AclError(_codes.RT_MEMORY_TYPE, f"the addresses do not lie where direction {kind} says")
