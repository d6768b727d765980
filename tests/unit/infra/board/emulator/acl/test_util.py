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
    with pytest.raises(ValueError, match="C-contiguous"):
        acl.util.numpy_to_ptr(array.T)
    pointer, contiguous = acl.util.numpy_contiguous_to_ptr(array.T)
    assert contiguous.flags.c_contiguous
    assert acl.util.ptr_to_bytes(pointer, 24) == array.T.tobytes()
    with pytest.raises(TypeError):
        acl.util.bytes_to_ptr(bytearray(3))


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
    assert acl.data_type_size(99) == 0
    description = acl.create_tensor_desc(0, [1, 3, 8, 8], 0)
    assert acl.get_tensor_desc_size(description) == 768
    assert acl.destroy_tensor_desc(description) is None
    assert acl.get_tensor_desc_size(description) == 0
    assert acl.create_tensor_desc(0, [1] * 129, 0) == 0
