"""Run by test_layers.py in a process of its own: kernels called without MindSpore, also in a forked process."""

import ctypes
import json
import os
import signal
import sys

import numpy as np
from numpy.typing import NDArray

library = ctypes.CDLL(sys.argv[1])
assert library.kernels_start(2) == 0


def call(name: str, inputs: list[NDArray[np.float32]], result: NDArray[np.float32]) -> None:
    """Call a kernel as MindSpore does."""
    arrays = [*inputs, result]
    data = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
    ranks = (ctypes.c_int * len(arrays))(*(array.ndim for array in arrays))
    kept = [(ctypes.c_int64 * array.ndim)(*array.shape) for array in arrays]
    shapes = (ctypes.c_void_p * len(arrays))(*map(ctypes.addressof, kept))
    assert getattr(library, name)(len(arrays), data, ranks, shapes, None, None, None) == 0


def swish(x: NDArray[np.float32]) -> NDArray[np.float32]:
    y = np.empty_like(x)
    call("swish", [x], y)
    return y


def in_a_fork() -> bool:
    """True if a process that was forked after the start, and so has no other threads, computes the same."""
    x = np.random.default_rng(1).standard_normal((300, 1000)).astype(np.float32)
    expected = swish(x)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(0 if np.array_equal(swish(x), expected) else 1)
    return os.waitpid(child, 0)[1] == 0


x = np.linspace(-120, 120, 1_000_000, dtype=np.float32)  # without 0
wide = x.astype(np.float64)
share = 1 / (1 + np.exp(-wide))
slope = np.empty_like(x)
call("swish_gradient", [np.ones_like(x), x], slope)
odd = swish(np.array([np.nan, np.inf, 3e38, -1e30, 0.0], np.float32))
print(
    json.dumps(
        {
            "swish": float(np.abs(swish(x) - wide * share).max()),
            "relative": float(np.abs(swish(x) / (wide * share) - 1)[np.abs(x) < 80].max()),
            "gradient": float(np.abs(slope - share * (1 + wide * (1 - share))).max()),
            "odd": [repr(float(value)) for value in odd],
            "fork": in_a_fork(),
        }
    )
)
