"""`acl.mdl`: load, describe and run models (docs/reference/pyacl.md §4.1 and §4.2)."""

from collections.abc import Sequence
from typing import Any

from . import _codes, _models
from ._descriptions import loaded
from ._execution import Dataset, execute_model
from ._memory import MEMORY
from ._models import Model
from ._shapes import AclError, code, value, value_and_code
from ._streams import run_in
from ._tensors import TensorDescription
from ._world import WORLD, Context

_GEAR_BYTES = 4  # a size is written as a uint32 for each dimension


@value_and_code(0)
def load_from_file(model_path: str) -> int:
    """Load an `.om`."""
    return load_path(model_path)


@value_and_code(0)
def load_from_mem(model: int, model_size: int) -> int:
    """Load an `.om` from memory."""
    return load_bytes(model, model_size)


@value_and_code(0)
def load_from_file_with_mem(model_path: str, work_ptr: int, work_size: int, weight_ptr: int, weight_size: int) -> int:
    """Load an `.om` into memory of the program."""
    return load_path(model_path, (work_ptr, work_size, weight_ptr, weight_size))


@value_and_code(0)
def load_from_mem_with_mem(
    model: int, model_size: int, work_ptr: int, work_size: int, weight_ptr: int, weight_size: int
) -> int:
    """Load an `.om` from memory into memory of the program."""
    return load_bytes(model, model_size, (work_ptr, work_size, weight_ptr, weight_size))


@code
def unload(model_id: int) -> None:
    """Unload a model, in the context that loaded it (pitfalls.md §8.15)."""
    _of_this_context(model_id)
    WORLD.remove(model_id, Model)


@value_and_code(0, 0)
def query_size(file_name: str) -> tuple[int, int]:
    """Bytes of work space and of weights that a model needs."""
    return _models.sizes(_models.read_file(file_name))


@value_and_code(0, 0)
def query_size_from_mem(model: int, model_size: int) -> tuple[int, int]:
    """As `query_size`, for a model in memory."""
    return _models.sizes(from_memory(model, model_size))


def create_dataset() -> int:
    """An empty dataset."""
    return WORLD.add(Dataset())


@code
def destroy_dataset(dataset: int) -> None:
    """Destroy a dataset; its buffers stay."""
    for description in WORLD.remove(dataset, Dataset, _codes.INVALID_PARAM).descriptions.values():
        WORLD.handles.pop(description, None)


def add_dataset_buffer(dataset: int, buffer: int) -> tuple[int, int]:
    """Append a buffer; returns the dataset and a code (pitfalls.md §8.16)."""

    @code
    def add() -> None:
        WORLD.get(dataset, Dataset, _codes.INVALID_PARAM).add(buffer)

    return dataset, add()


@value(0)
def get_dataset_num_buffers(dataset: int) -> int:
    """The number of buffers of a dataset."""
    return len(WORLD.get(dataset, Dataset, _codes.INVALID_PARAM).buffers)


@value(0)
def get_dataset_buffer(dataset: int, index: int) -> int:
    """A buffer of a dataset."""
    buffers = WORLD.get(dataset, Dataset, _codes.INVALID_PARAM).buffers
    if not 0 <= index < len(buffers):
        raise AclError(_codes.INVALID_PARAM, f"the dataset has no buffer {index}")
    return buffers[index]


@value_and_code(0)
def set_dataset_tensor_desc(dataset: int, tensor_desc: int, index: int) -> int:
    """Give a buffer of a dataset the shape that it has now; a null description takes it back."""
    found = _dataset(dataset)
    if not 0 <= index < len(found.buffers):
        raise AclError(_codes.INVALID_PARAM, f"the dataset has no buffer {index}")
    if tensor_desc:
        described = WORLD.get(tensor_desc, TensorDescription, _codes.INVALID_PARAM)
        found.descriptions[index] = WORLD.add(described.copy())
    else:
        WORLD.handles.pop(found.descriptions.pop(index, 0), None)
    return dataset


@value(0)
def get_dataset_tensor_desc(dataset: int, index: int) -> int:
    """The description of a buffer of a dataset; 0 without one."""
    found = _dataset(dataset)
    if not 0 <= index < len(found.buffers):
        raise AclError(_codes.INVALID_PARAM, f"the dataset has no buffer {index}")
    return found.descriptions.get(index, 0)


@code
def execute(model_id: int, input: int, output: int) -> None:
    """Run a model and wait."""
    execute_model(_of_this_context(model_id), _dataset(input), _dataset(output), allocate=True)


@code
def execute_async(model_id: int, input: int, output: int, stream: int) -> None:
    """Run a model in a stream."""
    model, inputs, outputs = _of_this_context(model_id), _dataset(input), _dataset(output)
    run_in(stream, lambda: execute_model(model, inputs, outputs, allocate=False))


@code
def set_dynamic_batch_size(model_id: int, dataset: int, index: int, batch_size: int) -> None:
    """Choose one of the batch sizes for the next execution with this dataset."""
    _set_gear("batch", model_id, dataset, index, (batch_size,))


@code
def set_dynamic_hw_size(model_id: int, dataset: int, index: int, height: int, width: int) -> None:
    """Choose one of the picture sizes for the next execution with this dataset."""
    _set_gear("image", model_id, dataset, index, (height, width))


@code
def set_input_dynamic_dims(model_id: int, dataset: int, index: int, dims: dict[str, Any]) -> None:
    """Choose one of the combinations of dimensions for the next execution with this dataset."""
    model = loaded(model_id)
    wanted = tuple(dims["dims"][: dims["dimCount"]])
    gear = next((gear for gear in model.gears_of("dims") if sum(model.input_dims(gear), ()) == wanted), wanted)
    _set_gear("dims", model_id, dataset, index, gear)


def load_path(path: str, memory: Sequence[int] = ()) -> int:
    """Load a file; returns the model's number.

    Args:
        path: the `.om`.
        memory: address and size of the work space, then of the weights, where the program brings them.
    """
    context = WORLD.context()
    return _load(_models.read_file(path), context, memory)


def load_bytes(address: int, size: int, memory: Sequence[int] = ()) -> int:
    """Load from memory; as `load_path`."""
    context = WORLD.context()
    return _load(from_memory(address, size), context, memory)


def _load(data: bytes, context: Context, memory: Sequence[int]) -> int:
    if memory:
        _check_room(data, memory[::2], memory[1::2])
    model = _models.load(data, context)
    model.number = WORLD.add(model)
    return model.number


def _of_this_context(model_id: int) -> Model:
    model = loaded(model_id)
    if model.context is not WORLD.context():
        raise AclError(_codes.RT_MODEL_CONTEXT, "the model was loaded in another context")
    return model


def from_memory(address: int, size: int) -> bytes:
    """The bytes of a model in memory."""
    if not address:
        raise AclError(_codes.GE_MODEL_ADDRESS, "the model's address is null")
    if size <= 0:
        raise AclError(_codes.GE_MODEL_SIZE, "the model has no bytes")
    with MEMORY.view(address, size) as data:
        return data.tobytes()


def _check_room(data: bytes, addresses: Sequence[int], sizes: Sequence[int]) -> None:
    for name, address, size, needed in zip(
        ("work space", "weights"), addresses, sizes, _models.sizes(data), strict=True
    ):
        if address and size < needed:
            raise AclError(_codes.GE_PARAM_INVALID, f"{size} bytes are too few for the {name}, which needs {needed}")
        if address:
            MEMORY.check(address, size)


def _dataset(handle: int) -> Dataset:
    return WORLD.get(handle, Dataset, _codes.INVALID_PARAM)


def _set_gear(kind: str, model_id: int, dataset: int, index: int, gear: tuple[int, ...]) -> None:
    chosen = _dataset(dataset)
    buffer = chosen.buffer(index)
    if not all(gear) or buffer is None or not buffer.address:
        raise AclError(_codes.INVALID_PARAM, f"the data set has no memory for the size at {index}, or the size is 0")
    model = loaded(model_id)
    if buffer.size < _GEAR_BYTES:
        raise AclError(_codes.GE_DYNAMIC_LENGTH, f"{buffer.size} bytes are too few for a dynamic size")
    if not model.gears_of(kind):
        raise AclError(_codes.MODEL_NOT_DYNAMIC, f"the model was not compiled for a dynamic {kind}")
    if not 0 <= index < len(model.inputs) or model.inputs[index].name != _codes.DYNAMIC_INPUT:
        raise AclError(_codes.INVALID_PARAM, f"input {index} is not '{_codes.DYNAMIC_INPUT}'")
    if gear not in model.om.gears:
        raise AclError(_codes.GE_DYNAMIC_BATCH, f"{gear} is not one of {list(model.om.gears)}")
    chosen.gear = model.current = gear
