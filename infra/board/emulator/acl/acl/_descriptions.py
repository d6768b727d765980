"""Descriptions of loaded models: the read-only part of `acl.mdl` (docs/reference/pyacl.md §4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _codes
from ._models import Model
from ._shapes import AclError, code, value, value_and_code
from ._world import WORLD

if TYPE_CHECKING:
    from infra.atc.emulator.om import OmTensor


@dataclass
class Description:
    """The description that `create_desc` creates and `get_desc` fills."""

    model: Model | None = None


def create_desc() -> int:
    """An empty description."""
    return WORLD.add(Description())


@code
def destroy_desc(model_desc: int) -> None:
    """Destroy a description."""
    WORLD.remove(model_desc, Description, _codes.INVALID_PARAM)


@code
def get_desc(model_desc: int, model_id: int) -> None:
    """Fill a description."""
    description = WORLD.get(model_desc, Description, _codes.INVALID_PARAM)
    description.model = loaded(model_id)


@value(0)
def get_num_inputs(model_desc: int) -> int:
    """Number of inputs, with the one for a dynamic size."""
    return len(_described(model_desc).inputs)


@value(0)
def get_num_outputs(model_desc: int) -> int:
    """Number of outputs."""
    return len(_described(model_desc).outputs)


@value(0)
def get_input_size_by_index(model_desc: int, index: int) -> int:
    """Bytes of an input at the largest gear."""
    return _input(model_desc, index).size


@value(0)
def get_output_size_by_index(model_desc: int, index: int) -> int:
    """Bytes of an output at the largest gear."""
    return _output(model_desc, index).size


@value_and_code({})
def get_input_dims(model_desc: int, index: int) -> dict[str, Any]:
    """Name and dimensions; -1 for a dynamic one; with static AIPP they are the picture's (n, h, w, c)."""
    model, tensor = _described(model_desc), _input(model_desc, index)
    if model.om.aipp.get(tensor.name, {}).get("input_format") != "YUV420SP_U8":
        return _dims(tensor)
    batch, rows, width, _ = tensor.dims
    return _dims(tensor, (batch, rows * 2 // 3, width, 3))


@value_and_code({})
def get_input_dims_v2(model_desc: int, index: int) -> dict[str, Any]:
    """As `get_input_dims`, but with AIPP their product is the size: YUV420SP has 1.5 times the rows of one channel."""
    return _dims(_input(model_desc, index))


@value_and_code({})
def get_output_dims(model_desc: int, index: int) -> dict[str, Any]:
    """Name and dimensions at the largest gear."""
    model, tensor = _described(model_desc), _output(model_desc, index)
    return _dims(tensor, model.output_dims(index, model.largest))


@value_and_code({})
def get_cur_output_dims(model_desc: int, index: int) -> dict[str, Any]:
    """Name and dimensions at the gear that was set last."""
    model, tensor = _described(model_desc), _output(model_desc, index)
    return _dims(tensor, model.output_dims(index, model.current or model.largest))


@value("")
def get_input_name_by_index(model_desc: int, index: int) -> str:
    """An input's name."""
    return _input(model_desc, index).name


@value("")
def get_output_name_by_index(model_desc: int, index: int) -> str:
    """An output's name."""
    return _output(model_desc, index).name


@value_and_code(0)
def get_input_index_by_name(model_desc: int, name: str) -> int:
    """The index of an input; 100000 for an unknown name."""
    return _index(_described(model_desc).inputs, name)


@value_and_code(0)
def get_output_index_by_name(model_desc: int, name: str) -> int:
    """The index of an output."""
    return _index(_described(model_desc).outputs, name)


@value(-1)
def get_input_data_type(model_desc: int, index: int) -> int:
    """An input's data type."""
    return _input(model_desc, index).dtype


@value(-1)
def get_output_data_type(model_desc: int, index: int) -> int:
    """An output's data type."""
    return _output(model_desc, index).dtype


@value(-1)
def get_input_format(model_desc: int, index: int) -> int:
    """An input's format."""
    return _input(model_desc, index).format


@value(-1)
def get_output_format(model_desc: int, index: int) -> int:
    """An output's format."""
    return _output(model_desc, index).format


@value_and_code({})
def get_dynamic_batch(model_desc: int) -> dict[str, Any]:
    """The batch sizes of the model."""
    gears = _described(model_desc).gears_of("batch")
    return {"batchCount": len(gears), "batch": [gear[0] for gear in gears]}


@value_and_code({})
def get_dynamic_hw(model_desc: int, index: int) -> dict[str, Any]:  # noqa: ARG001 - "reserved, -1" in the interface
    """The picture sizes of the model."""
    gears = _described(model_desc).gears_of("image")
    return {"hwCount": len(gears), "hw": [list(gear) for gear in gears]}


@value_and_code(0)
def get_input_dynamic_gear_count(model_desc: int, index: int) -> int:  # noqa: ARG001 - "-1" in the interface
    """The number of combinations of dynamic dimensions of the model."""
    return len(_described(model_desc).gears_of("dims"))


@value_and_code([])
def get_input_dynamic_dims(model_desc: int, index: int, gear_count: int) -> list[dict[str, Any]]:  # noqa: ARG001
    """All dimensions of the data inputs, one after the other, for each combination."""
    model = _described(model_desc)
    combinations = [sum(model.input_dims(gear), ()) for gear in model.gears_of("dims")[:gear_count]]
    return [{"name": "", "dimCount": len(dims), "dims": list(dims)} for dims in combinations]


def loaded(model_id: int) -> Model:
    """Look a model up."""
    model = WORLD.handles.get(model_id)
    if not isinstance(model, Model):
        raise AclError(_codes.GE_MODEL_ID, f"no model {model_id} is loaded")
    return model


def _described(model_desc: int) -> Model:
    model = WORLD.get(model_desc, Description, _codes.INVALID_PARAM).model
    if model is None:
        raise AclError(_codes.INVALID_PARAM, "the description is empty; call acl.mdl.get_desc first")
    return model


def _input(model_desc: int, index: int) -> "OmTensor":
    return _at(_described(model_desc).inputs, index)


def _output(model_desc: int, index: int) -> "OmTensor":
    return _at(_described(model_desc).outputs, index)


def _at(tensors: "Sequence[OmTensor]", index: int) -> "OmTensor":
    if not 0 <= index < len(tensors):
        raise AclError(_codes.INVALID_PARAM, f"there is no tensor {index}")
    return tensors[index]


def _index(tensors: "Sequence[OmTensor]", name: str) -> int:
    for index, tensor in enumerate(tensors):
        if tensor.name == name:
            return index
    raise AclError(_codes.INVALID_PARAM, f"there is no tensor '{name}'")


def _dims(tensor: "OmTensor", dims: tuple[int, ...] | None = None) -> dict[str, Any]:
    sizes = list(tensor.dims if dims is None else dims)
    return {"name": tensor.name, "dimCount": len(sizes), "dims": sizes}
