"""Tensor descriptions and data buffers: the functions of `acl` itself (docs/reference/pyacl.md §4.1)."""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _codes
from ._execution import Buffer
from ._shapes import AclError, code, value, value_and_code
from ._world import WORLD

Ranges = list[tuple[int, int]]


@dataclass
class TensorDescription:
    """What `create_tensor_desc` describes; a constant is kept as the bytes that `set_tensor_const` named."""

    data_type: int
    dims: list[int]
    format: int
    name: str = ""
    ranges: Ranges = field(default_factory=list)
    placement: int = 0
    constant: tuple[int, int] = (0, 0)

    @property
    def count(self) -> int:
        """Elements; 0 when a dimension is unknown."""
        return math.prod(max(dim, 0) for dim in self.dims)

    def copy(self) -> "TensorDescription":
        """A description of its own with the same values."""
        return copy.deepcopy(self)


def create_data_buffer(data: int, size: int) -> int:
    """Describe memory; a null address is allowed, for outputs."""
    return WORLD.add(Buffer(data, size))


@code
def destroy_data_buffer(data_buffer: int) -> None:
    """Destroy a description; the memory stays."""
    WORLD.remove(data_buffer, Buffer, _codes.INVALID_PARAM)


@value(0)
def get_data_buffer_addr(data_buffer: int) -> int:
    """The address."""
    return WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM).address


@value(0)
def get_data_buffer_size(data_buffer: int) -> int:
    """The size in bytes (deprecated form)."""
    return WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM).size


get_data_buffer_size_v2 = get_data_buffer_size


@code
def update_data_buffer(data_buffer: int, data: int, size: int) -> None:
    """Change the memory that a buffer describes."""
    buffer = WORLD.get(data_buffer, Buffer, _codes.INVALID_PARAM)
    buffer.address, buffer.size = data, size


@value(0)
def create_tensor_desc(data_type: int, dims: list[int], format: int) -> int:
    """Describe a tensor; `dims` is a list of int."""
    sizes = _integers(dims)
    if len(sizes) > _codes.MAX_DIMS:
        raise AclError(_codes.INVALID_PARAM, f"{len(sizes)} dimensions are too many")
    return WORLD.add(TensorDescription(data_type, sizes, format))


def destroy_tensor_desc(desc: int) -> None:
    """Destroy a description; returns nothing."""
    WORLD.handles.pop(desc, None)


@value(-1)
def get_tensor_desc_type(desc: int) -> int:
    """The data type."""
    return _described(desc).data_type


@value(-1)
def get_tensor_desc_format(desc: int) -> int:
    """The format."""
    return _described(desc).format


@value(0)
def get_tensor_desc_size(desc: int) -> int:
    """Bytes of the tensor; 0 when a dimension is unknown."""
    found = _described(desc)
    return data_type_size(found.data_type) * found.count


@value(0)
def get_tensor_desc_element_count(desc: int) -> int:
    """Elements of the tensor; 0 when a dimension is unknown."""
    return _described(desc).count


@value(0)
def get_tensor_desc_num_dims(desc: int) -> int:
    """The number of dimensions."""
    return len(_described(desc).dims)


@value(-1)
def get_tensor_desc_dim(desc: int, index: int) -> int:
    """A dimension (deprecated form); -1 where there is none."""
    return _dim(desc, index)


@value_and_code(0)
def get_tensor_desc_dim_v2(desc: int, index: int) -> int:
    """A dimension."""
    return _dim(desc, index)


@value_and_code(None)
def get_tensor_desc_dim_range(desc: int, index: int, dim_range_num: int) -> list[int]:
    """The least and the largest value of a dimension; `dim_range_num` is 2."""
    found = _described(desc)
    if not 0 <= index < len(found.ranges) or dim_range_num != 2:
        raise AclError(_codes.INVALID_PARAM, f"dimension {index} has no range of {dim_range_num} values")
    return list(found.ranges[index])


@value("")
def get_tensor_desc_name(desc: int) -> str:
    """The name."""
    return _described(desc).name


def set_tensor_desc_name(desc: int, name: str) -> None:
    """Set the name; returns nothing."""
    found = WORLD.handles.get(desc)
    if isinstance(found, TensorDescription):
        found.name = name


@code
def set_tensor_shape(desc: int, dims: list[int]) -> None:
    """Change the shape."""
    _described(desc).dims = _integers(dims)


@code
def set_tensor_format(desc: int, format: int) -> None:
    """Change the format."""
    _described(desc).format = format


@code
def set_tensor_shape_range(desc: int, dims_range: list[list[int]]) -> None:
    """Set the range of each dimension: a list of lists of two int."""
    if not isinstance(dims_range, list):
        raise TypeError("argument 2 is not list")
    pairs = [_integers(pair) for pair in dims_range]
    _described(desc).ranges = [(pair[0], pair[1]) for pair in pairs]


@code
def set_tensor_place_ment(desc: int, mem_type: int) -> None:
    """Say where the tensor lies: 0 is the device, 1 the host."""
    if mem_type not in range(4):
        raise AclError(_codes.INVALID_PARAM, f"there is no place {mem_type}")
    _described(desc).placement = mem_type


@code
def set_tensor_const(desc: int, data: int, size: int) -> None:
    """Make the tensor a constant: `size` bytes of host memory."""
    if not data or not size:
        raise AclError(_codes.INVALID_PARAM, "a constant needs an address and a size")
    _described(desc).constant = data, size


def data_type_size(data_type: int) -> int:
    """Bytes of one element."""
    return _codes.DATA_TYPE_SIZES.get(data_type, _codes.OTHER_TYPE_SIZE)


def float16_to_float(value: int) -> float:
    """The number that a float16's 16 bits stand for."""
    return float(np.uint16(value).view(np.float16))


def float_to_float16(value: float) -> int:
    """The 16 bits of the float16 nearest to a number."""
    with np.errstate(over="ignore"):
        return int(np.float32(value).astype(np.float16).view(np.uint16))


def _described(desc: int) -> TensorDescription:
    return WORLD.get(desc, TensorDescription, _codes.INVALID_PARAM)


def _dim(desc: int, index: int) -> int:
    dims = _described(desc).dims
    if not 0 <= index < len(dims):
        raise AclError(_codes.INVALID_PARAM, f"there is no dimension {index}")
    return dims[index]


def _integers(values: Any) -> list[int]:
    if not isinstance(values, list):
        raise TypeError("the argument is not list")
    if not all(isinstance(value, int) for value in values):
        raise TypeError("invalid data type")
    return list(values)
