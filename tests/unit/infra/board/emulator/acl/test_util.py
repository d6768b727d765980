from typing import Any

import numpy as np
import pytest

from .conftest import D2D


def test_a_copy_changes_the_bytes_object(acl: Any) -> None:
    """Programs receive results in the memory of a `bytes` object (docs/reference/pyacl.md §4.1)."""
    device, _ = acl.rt.malloc(64, 2)
    acl.rt.memset(device, 64, 9, 64)
    data = np.zeros(16, np.float32).tobytes()
    assert acl.rt.memcpy(acl.util.bytes_to_ptr(data), 64, device, 64, D2D) == 0
    assert data == b"\x09" * 64


def test_arrays_and_addresses(acl: Any) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert acl.util.ptr_to_bytes(acl.util.numpy_to_ptr(array), 24) == array.tobytes()
    with pytest.warns(Warning, match="discontiguous"):
        assert acl.util.numpy_to_ptr(array.T) == array.ctypes.data
    pointer, contiguous = acl.util.numpy_contiguous_to_ptr(array.T)
    assert contiguous.flags.c_contiguous
    assert acl.util.ptr_to_bytes(pointer, 24) == array.T.tobytes()
    for wrong in (acl.util.bytes_to_ptr, acl.util.numpy_to_ptr, acl.util.numpy_contiguous_to_ptr):
        with pytest.raises(ValueError, match="needs an"):
            wrong(bytearray(3))
    with pytest.raises(ValueError, match="shape is empty"):
        acl.util.ptr_to_numpy(pointer, [2, 3], 11)
    with pytest.raises(TypeError, match="list of int"):
        acl.util.ptr_to_numpy(pointer, (np.int64(2), 3), 11)


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(0, "bool"), (1, "i1"), (2, "u1"), (5, "i4"), (7, "i8"), (11, "f4"), (12, "f8"), (23, "f2")],
)
def test_numpy_s_own_numbers_of_types(acl: Any, number: int, dtype: str) -> None:
    pointer, _ = acl.rt.malloc(64, 2)
    array = acl.util.ptr_to_numpy(pointer, (2, 4), number)
    assert (array.dtype, array.shape) == (np.dtype(dtype), (2, 4))
    array[:] = 1
    assert acl.util.ptr_to_bytes(pointer, array.nbytes) == array.tobytes()


def test_an_unknown_type_number(acl: Any) -> None:
    with pytest.raises(ValueError, match="99"):
        acl.util.ptr_to_numpy(1, (1,), 99)


def test_tensor_descriptions(acl: Any) -> None:
    assert acl.data_type_size(0) == 4
    assert acl.data_type_size(1) == 2
    assert [acl.data_type_size(kind) for kind in (-1, 13, 29, 99)] == [0, 0, 1, 8]
    description = acl.create_tensor_desc(0, [1, 3, 8, 8], 0)
    assert acl.get_tensor_desc_size(description) == 768
    assert acl.destroy_tensor_desc(description) is None
    assert acl.get_tensor_desc_size(description) == 0
    assert acl.create_tensor_desc(0, [1] * 129, 0) == 0


def test_what_a_tensor_description_says(acl: Any) -> None:
    description = acl.create_tensor_desc(3, [1, -1, 8], 2)
    assert [acl.get_tensor_desc_type(description), acl.get_tensor_desc_format(description)] == [3, 2]
    assert acl.get_tensor_desc_num_dims(description) == 3
    assert acl.get_tensor_desc_dim_v2(description, 2) == (8, 0)
    assert acl.get_tensor_desc_dim_v2(description, 3) == (0, 100000)
    assert acl.get_tensor_desc_dim(description, 1) == -1
    assert acl.set_tensor_shape(description, [2, 4]) == 0
    assert acl.get_tensor_desc_element_count(description) == 8
    assert acl.set_tensor_shape_range(description, [[1, 2], [4, 4]]) == 0
    assert acl.get_tensor_desc_dim_range(description, 0, 2) == ([1, 2], 0)
    assert acl.get_tensor_desc_dim_range(description, 2, 2) == (None, 100000)
    assert acl.set_tensor_desc_name(description, "x") is None
    assert acl.get_tensor_desc_name(description) == "x"
    assert acl.set_tensor_const(description, 0, 8) == 100000
    assert acl.get_tensor_desc_num_dims(0) == 0
    for dims in ((1, 2), [np.int64(1)], [1.0]):
        with pytest.raises(TypeError):
            acl.create_tensor_desc(0, dims, 2)


def test_half_numbers(acl: Any) -> None:
    assert acl.float_to_float16(1.0) == 0x3C00
    assert acl.float16_to_float(0x3C00) == 1.0
    assert acl.float_to_float16(1e6) == 0x7C00
