"""`acl.mdl`: load, describe and run models (docs/reference/pyacl.md §4.1 and §4.2)."""

from typing import Any

from . import _codes, _models
from ._descriptions import (
    create_desc,
    destroy_desc,
    get_cur_output_dims,
    get_desc,
    get_dynamic_batch,
    get_dynamic_hw,
    get_input_data_type,
    get_input_dims,
    get_input_dims_v2,
    get_input_dynamic_dims,
    get_input_dynamic_gear_count,
    get_input_format,
    get_input_index_by_name,
    get_input_name_by_index,
    get_input_size_by_index,
    get_num_inputs,
    get_num_outputs,
    get_output_data_type,
    get_output_dims,
    get_output_format,
    get_output_index_by_name,
    get_output_name_by_index,
    get_output_size_by_index,
    loaded,
)
from ._execution import Dataset, execute_model
from ._memory import MEMORY
from ._models import Model
from ._shapes import AclError, code, value, value_and_code
from ._streams import run_in
from ._world import WORLD

__all__ = [
    "add_dataset_buffer",
    "create_dataset",
    "create_desc",
    "destroy_dataset",
    "destroy_desc",
    "execute",
    "execute_async",
    "get_cur_output_dims",
    "get_dataset_buffer",
    "get_dataset_num_buffers",
    "get_desc",
    "get_dynamic_batch",
    "get_dynamic_hw",
    "get_input_data_type",
    "get_input_dims",
    "get_input_dims_v2",
    "get_input_dynamic_dims",
    "get_input_dynamic_gear_count",
    "get_input_format",
    "get_input_index_by_name",
    "get_input_name_by_index",
    "get_input_size_by_index",
    "get_num_inputs",
    "get_num_outputs",
    "get_output_data_type",
    "get_output_dims",
    "get_output_format",
    "get_output_index_by_name",
    "get_output_name_by_index",
    "get_output_size_by_index",
    "load_from_file",
    "load_from_file_with_mem",
    "load_from_mem",
    "load_from_mem_with_mem",
    "query_size",
    "query_size_from_mem",
    "set_dynamic_batch_size",
    "set_dynamic_hw_size",
    "set_input_dynamic_dims",
    "unload",
]


@value_and_code(0)
def load_from_file(model_path: str) -> int:
    """Load an `.om`."""
    context = WORLD.context()
    return _add(_models.load(_models.read_file(model_path), context))


@value_and_code(0)
def load_from_mem(model: int, model_size: int) -> int:
    """Load an `.om` from memory."""
    context = WORLD.context()
    return _add(_models.load(_from_memory(model, model_size), context))


@value_and_code(0)
def load_from_file_with_mem(model_path: str, work_ptr: int, work_size: int, weight_ptr: int, weight_size: int) -> int:
    """Load an `.om` into memory of the program."""
    context = WORLD.context()
    data = _models.read_file(model_path)
    _check_room(data, work_ptr, work_size, weight_ptr, weight_size)
    return _add(_models.load(data, context))


@value_and_code(0)
def load_from_mem_with_mem(
    model: int, model_size: int, work_ptr: int, work_size: int, weight_ptr: int, weight_size: int
) -> int:
    """Load an `.om` from memory into memory of the program."""
    context = WORLD.context()
    data = _from_memory(model, model_size)
    _check_room(data, work_ptr, work_size, weight_ptr, weight_size)
    return _add(_models.load(data, context))


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
    return _models.sizes(_from_memory(model, model_size))


def create_dataset() -> int:
    """An empty dataset."""
    return WORLD.add(Dataset())


@code
def destroy_dataset(dataset: int) -> None:
    """Destroy a dataset; its buffers stay."""
    WORLD.remove(dataset, Dataset, _codes.INVALID_PARAM)


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


def forget_models(device: int) -> None:
    """Unload all models of a device that is reset."""
    for handle, model in WORLD.all(Model):
        if model.context.device == device:
            WORLD.handles.pop(handle, None)


def _add(model: Model) -> int:
    return WORLD.add(model)


def _of_this_context(model_id: int) -> Model:
    model = loaded(model_id)
    if model.context is not WORLD.context():
        raise AclError(_codes.RT_MODEL_CONTEXT, "the model was loaded in another context")
    return model


def _from_memory(address: int, size: int) -> bytes:
    if not address:
        raise AclError(_codes.GE_MODEL_ADDRESS, "the model's address is null")
    if size <= 0:
        raise AclError(_codes.GE_MODEL_SIZE, "the model has no bytes")
    with MEMORY.view(address, size) as data:
        return data.tobytes()


def _check_room(data: bytes, work_ptr: int, work_size: int, weight_ptr: int, weight_size: int) -> None:
    for name, address, size, needed in zip(
        ("work space", "weights"), (work_ptr, weight_ptr), (work_size, weight_size), _models.sizes(data), strict=True
    ):
        if address and size < needed:
            raise AclError(_codes.GE_PARAM_INVALID, f"{size} bytes are too few for the {name}, which needs {needed}")
        if address:
            MEMORY.check(address, size)


def _dataset(handle: int) -> Dataset:
    return WORLD.get(handle, Dataset, _codes.INVALID_PARAM)


def _set_gear(kind: str, model_id: int, dataset: int, index: int, gear: tuple[int, ...]) -> None:
    model, chosen = loaded(model_id), _dataset(dataset)
    if not model.gears_of(kind):
        raise AclError(_codes.MODEL_NOT_DYNAMIC, f"the model was not compiled for a dynamic {kind}")
    if not 0 <= index < len(model.inputs) or model.inputs[index].name != _codes.DYNAMIC_INPUT:
        raise AclError(_codes.INVALID_PARAM, f"input {index} is not '{_codes.DYNAMIC_INPUT}'")
    if gear not in model.om.gears:
        raise AclError(_codes.GE_DYNAMIC_BATCH, f"{gear} is not one of {list(model.om.gears)}")
    chosen.gear = model.current = gear
