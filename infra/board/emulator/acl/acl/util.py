"""`acl.util`: addresses of Python objects, and threads (docs/reference/pyacl.md §4.1)."""

import ctypes
import errno
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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

_threads: dict[int, tuple[threading.Thread, list[str]]] = {}


def bytes_to_ptr(data: bytes) -> int:
    """The address of the object's own bytes: a copy to it changes the object (pyacl.md §4.1)."""
    if not isinstance(data, bytes):
        raise ValueError("needs an byte as argument")  # noqa: TRY004 - the binding's
    address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
    assert address is not None  # noqa: S101 - for the type checker: bytes always lie somewhere
    return address


def ptr_to_bytes(ptr: int, size: int) -> bytes:
    """A copy of memory."""
    return MEMORY.host_view(ptr, size).tobytes()


def numpy_to_ptr(array: npt.NDArray[Any]) -> int:
    """The address of an array's data; of one that is not C-contiguous it is useless, of which the binding warns."""
    if not isinstance(array, np.ndarray):
        raise ValueError("needs an ndarray as argument")  # noqa: TRY004 - the binding's
    if not array.flags.c_contiguous:
        warnings.warn(
            "The input ndarray is discontiguous. Please use acl.util.bytes_to_ptr instead.", Warning, stacklevel=3
        )
    return int(array.ctypes.data)


def numpy_contiguous_to_ptr(array: npt.NDArray[Any]) -> tuple[int, npt.NDArray[Any]]:
    """The address of a C-contiguous form of the array, and that form, which the caller must keep."""
    if not isinstance(array, np.ndarray):
        raise ValueError("needs an ndarray as argument")  # noqa: TRY004 - the binding's
    contiguous = np.ascontiguousarray(array)
    return numpy_to_ptr(contiguous), contiguous


def ptr_to_numpy(ptr: int, shape: Sequence[int], numpy_type: int) -> npt.NDArray[Any]:
    """An array over the memory itself; `shape` is a tuple of int, `numpy_type` NumPy's number of the C type."""
    if not isinstance(shape, tuple):
        raise ValueError("shape is empty")  # noqa: TRY004 - what the binding says of whatever is not a tuple
    if not all(isinstance(size, int) for size in shape):
        raise TypeError("the second argument is not list of int")
    if numpy_type not in _NUMPY_TYPES:
        raise ValueError(f"{numpy_type} is not a number of a NumPy type that is supported")
    dtype = np.dtype(_NUMPY_TYPES[numpy_type])
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return MEMORY.host_view(ptr, size).view(dtype).reshape(tuple(shape))


@value_and_code(0)
def start_thread(function: Callable[..., Any], args: Any) -> int:
    """Run `function(args)` in a thread, or `function()` when `args` is None; returns the thread's number."""
    if not callable(function):
        raise TypeError("parameter must be callable")
    failures: list[str] = []

    def run() -> None:
        try:
            function(*(() if args is None else (args,)))
        except Exception as error:  # noqa: BLE001 - the program's function; shown, and raised by stop_thread
            sys.excepthook(type(error), error, error.__traceback__)
            failures.append(f"exception={type(error).__name__},msg=thread call failed;")

    thread = threading.Thread(target=run, name="acl-thread", daemon=True)
    begin(thread)
    assert thread.ident is not None  # noqa: S101 - for the type checker: it has been started
    _threads[thread.ident] = thread, failures
    return thread.ident


@code
def stop_thread(thread_id: int) -> None:
    """Wait for the end of a thread; what its function raised comes as a RuntimeError."""
    found = _threads.pop(thread_id, None)
    if found is None:
        raise AclError(errno.ESRCH, f"{thread_id} is no thread of acl.util.start_thread")
    thread, failures = found
    thread.join()
    if failures:
        raise RuntimeError("".join(failures))
