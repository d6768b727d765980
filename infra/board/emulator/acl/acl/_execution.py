"""Data buffers, datasets and the execution of a model on them."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _codes
from ._memory import MEMORY
from ._models import DTYPES, Model
from ._shapes import AclError
from ._world import WORLD

EXECUTED: list[Callable[[int, int, int], None]] = []  # who is told of an execution: model, start and duration in ns
SLACK = 64  # bytes by which a buffer may be shorter than its tensor (docs/reference/pyacl.md §4.2, the end)


@dataclass
class Buffer:
    """A data buffer: an address and a size; the memory belongs to the program."""

    address: int
    size: int


@dataclass
class Dataset:
    """Data buffers by handle, in the order of a model's tensors, their descriptions, and their dynamic size."""

    buffers: list[int] = field(default_factory=list)
    gear: tuple[int, ...] = ()
    descriptions: dict[int, int] = field(default_factory=dict)  # index of a buffer → handle

    def add(self, buffer: int) -> None:
        """Append a buffer."""
        WORLD.get(buffer, Buffer, _codes.INVALID_PARAM)
        self.buffers.append(buffer)

    def buffer(self, index: int) -> Buffer | None:
        """A buffer by its place; None where there is none."""
        found = WORLD.handles.get(self.buffers[index]) if 0 <= index < len(self.buffers) else None
        return found if isinstance(found, Buffer) else None


def execute_model(model: Model, inputs: Dataset, outputs: Dataset, *, allocate: bool) -> None:
    """Run a model from one dataset into another.

    Args:
        model: the loaded model.
        inputs: a buffer for each input; longer ones are accepted, as on a board.
        outputs: a buffer for each output.
        allocate: an output buffer with a null address gets memory (synchronous execution only, pyacl.md §4.2).
    """
    if len(inputs.buffers) < len(model.inputs) or len(outputs.buffers) < len(model.outputs):
        raise AclError(
            _codes.INVALID_PARAM,
            f"{len(inputs.buffers)} input and {len(outputs.buffers)} output buffers for a model with "
            f"{len(model.inputs)} inputs and {len(model.outputs)} outputs",
        )
    gear = inputs.gear or model.largest
    tensors = [(index, tensor) for index, tensor in enumerate(model.inputs) if tensor.name != _codes.DYNAMIC_INPUT]
    with ExitStack() as opened:
        arrays = [
            _read(_buffer(inputs, index), DTYPES[tensor.dtype], dims, tensor.name, opened)
            for (index, tensor), dims in zip(tensors, model.input_dims(gear), strict=True)
        ]
        started = time.monotonic_ns()
        results = model.run(arrays, gear)
        for tell in EXECUTED:
            tell(model.number, started, time.monotonic_ns() - started)
    model.current = gear
    for index, result in enumerate(results):
        _write(_buffer(outputs, index), np.ascontiguousarray(result), allocate=allocate)


def _buffer(dataset: Dataset, index: int) -> Buffer:
    return WORLD.get(dataset.buffers[index], Buffer, _codes.INVALID_PARAM)


def _read(buffer: Buffer, dtype: Any, shape: tuple[int, ...], name: str, opened: ExitStack) -> npt.NDArray[Any]:
    """The array in a buffer; the missing bytes of a slightly short buffer are zero."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not buffer.address:
        raise AclError(_codes.GE_PARAM_INVALID, f"the buffer of '{name}' has no memory")
    if buffer.size + SLACK < size:
        raise AclError(_codes.GE_PARAM_INVALID, f"the buffer of '{name}' has {buffer.size} bytes of {size}")
    data = opened.enter_context(MEMORY.view(buffer.address, min(size, buffer.size)))
    if data.size < size:
        data = np.pad(data, (0, size - data.size))
    array: npt.NDArray[Any] = np.require(data.view(dtype), requirements="A").reshape(shape)
    return array


def _write(buffer: Buffer, result: npt.NDArray[Any], *, allocate: bool) -> None:
    if not buffer.address:
        if not allocate:
            raise AclError(_codes.GE_PARAM_INVALID, "an output buffer has no memory")
        buffer.address, buffer.size = MEMORY.allocate(result.nbytes, device=True), result.nbytes
    if buffer.size + SLACK < result.nbytes:
        raise AclError(_codes.GE_PARAM_INVALID, f"an output buffer has {buffer.size} bytes of {result.nbytes}")
    count = min(buffer.size, result.nbytes)
    with MEMORY.view(buffer.address, count) as target:
        target[:] = result.reshape(-1).view(np.uint8)[:count]
