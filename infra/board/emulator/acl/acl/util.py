"""`acl.util`: addresses of Python objects, and threads (docs/reference/pyacl.md §4.1)."""

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _codes
from ._memory import MEMORY
from ._shapes import AclError, code, value_and_code
from ._streams import begin

# NumPy's own numbers of C types (pyacl.md §4.1).
_NUMPY_TYPES = {
    0: np.bool_,
    1: np.int8,
    2: np.uint8,
    3: np.int16,
    4: np.uint16,
    5: np.int32,
    6: np.uint32,
    7: np.int64,
    8: np.uint64,
    9: np.longlong,
    10: np.ulonglong,
    11: np.float32,
    12: np.float64,
    23: np.float16,
}

_threads: dict[int, threading.Thread] = {}


def bytes_to_ptr(data: bytes) -> int:
    """The address of the object's own bytes: a copy to it changes the object (pyacl.md §4.1)."""
    if not isinstance(data, bytes):
        raise TypeError(f"bytes are needed, not {type(data).__name__}")
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    assert address is not None  # noqa: S101 - for the type checker: bytes always lie somewhere
    return address


def ptr_to_bytes(ptr: int, size: int) -> bytes:
    """A copy of memory."""
    return MEMORY.host_view(ptr, size).tobytes()


def numpy_to_ptr(array: npt.NDArray[Any]) -> int:
    """The address of an array's data, which must be C-contiguous."""
    if not array.flags.c_contiguous:
        raise ValueError("the array is not C-contiguous; use numpy.ascontiguousarray")
    return int(array.ctypes.data)


def numpy_contiguous_to_ptr(array: npt.NDArray[Any]) -> tuple[int, npt.NDArray[Any]]:
    """The address of a C-contiguous form of the array, and that form, which the caller must keep."""
    contiguous = np.ascontiguousarray(array)
    return numpy_to_ptr(contiguous), contiguous


def ptr_to_numpy(ptr: int, shape: Sequence[int], numpy_type: int) -> npt.NDArray[Any]:
    """An array over the memory itself; `numpy_type` is NumPy's number of the C type."""
    if numpy_type not in _NUMPY_TYPES:
        raise ValueError(f"{numpy_type} is not a number of a NumPy type that is supported")
    dtype = np.dtype(_NUMPY_TYPES[numpy_type])
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return MEMORY.host_view(ptr, size).view(dtype).reshape(tuple(shape))


@value_and_code(0)
def start_thread(function: Callable[[Any], Any], args: Sequence[Any]) -> int:
    """Run `function(args)`, with the list as its one argument, in a thread; returns the thread's number."""
    thread = threading.Thread(target=function, args=(args,), name="acl-thread", daemon=True)
    begin(thread)
    assert thread.ident is not None  # noqa: S101 - for the type checker: it has been started
    _threads[thread.ident] = thread
    return thread.ident


@code
def stop_thread(thread_id: int) -> None:
    """Wait for the end of a thread."""
    thread = _threads.pop(thread_id, None)
    if thread is None:
        raise AclError(_codes.INVALID_PARAM, f"{thread_id} is no thread of acl.util.start_thread")
    thread.join()
