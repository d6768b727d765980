"""`acl.op`: operators that `atc --singleop` compiled are found and run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from infra.atc.emulator import command

from .conftest import D2D

FLOAT, HALF, ND = 0, 1, 2


def described(shape: list[int], kind: str) -> dict[str, Any]:
    return {"format": "ND", "shape": shape, "type": kind}


OPERATORS = [
    {"op": "Add", "input_desc": [described([2, 3], "float32")] * 2, "output_desc": [described([2, 3], "float32")]},
    {
        "op": "Cast",
        "input_desc": [described([2, 3], "float32")],
        "output_desc": [described([2, 3], "float16")],
        "attr": [{"name": "dst_type", "type": "int", "value": HALF}],
    },
    {
        "op": "MatMul",
        "input_desc": [described([3, 2], "float32"), described([3, 2], "float32")],
        "output_desc": [described([2, 2], "float32")],
        "attr": [{"name": "transpose_x1", "type": "bool", "value": True}],
    },
]


@pytest.fixture
def operators(acl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`acl` with the folder of compiled operators."""
    monkeypatch.chdir(tmp_path)
    Path("ops.json").write_text(json.dumps(OPERATORS))
    assert command.main(["--singleop=ops.json", "--output=ops", "--soc_version=Ascend310"]) == 0
    assert acl.op.set_model_dir("nowhere") == 100000
    assert acl.op.set_model_dir("ops") == 0
    assert acl.op.set_model_dir("ops") == 100002
    return acl


def place(acl: Any, array: npt.NDArray[Any]) -> tuple[int, int, int]:
    """A description and a buffer with the array; and its address."""
    pointer, code = acl.rt.malloc(array.nbytes, 2)
    assert code == 0
    data = array.tobytes()
    assert acl.rt.memcpy(pointer, len(data), acl.util.bytes_to_ptr(data), len(data), D2D) == 0
    kind = HALF if array.dtype == np.float16 else FLOAT
    description = acl.create_tensor_desc(kind, list(array.shape), ND)
    return description, acl.create_data_buffer(pointer, array.nbytes), pointer


def test_an_operator_runs_in_a_stream(operators: Any) -> None:
    acl = operators
    ones, twos = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    (first, left, _), (second, right, _), (result, out, pointer) = (place(acl, item) for item in (ones, twos, ones))
    stream, _ = acl.rt.create_stream()
    assert acl.op.execute_v2("Add", [first, second], [left, right], [result], [out], 0, stream) == 0
    assert acl.rt.synchronize_stream(stream) == 0
    assert np.frombuffer(acl.util.ptr_to_bytes(pointer, 24), np.float32).tolist() == [3.0] * 6
    assert acl.op.execute_v2("Mul", [first, second], [left, right], [result], [out], 0, stream) == 100024
    assert acl.op.execute_v2("Add", [first, second], [left], [result], [out], 0, stream) == 100000
    with pytest.raises(TypeError, match="list"):
        acl.op.execute_v2("Add", (first, second), [left, right], [result], [out], 0, stream)


def test_attributes_choose_the_operator(operators: Any) -> None:
    acl = operators
    matrix = np.arange(6, dtype=np.float32).reshape(3, 2)
    (first, left, _), (second, right, _), (result, out, pointer) = (
        place(acl, item) for item in (matrix, matrix, np.zeros((2, 2), np.float32))
    )
    attributes = acl.op.create_attr()
    assert acl.op.execute_v2("MatMul", [first, second], [left, right], [result], [out], attributes, 0) == 100024
    assert acl.op.set_attr_bool(attributes, "transpose_x1", 1) == 0
    handle, code = acl.op.create_handle("MatMul", [first, second], [result], attributes)
    assert code == 0
    assert acl.op.execute_with_handle(handle, [left, right], [out], 0) == 0
    made = np.frombuffer(acl.util.ptr_to_bytes(pointer, 16), np.float32).reshape(2, 2)
    assert np.array_equal(made, matrix.T @ matrix)
    assert [acl.op.destroy_handle(handle), acl.op.destroy_attr(attributes)] == [None, None]


def test_a_cast(operators: Any) -> None:
    acl = operators
    source, target = np.full((2, 3), 1.5, np.float32), np.zeros((2, 3), np.float16)
    (first, left, _), (result, out, pointer) = place(acl, source), place(acl, target)
    assert acl.op.cast(first, left, result, out, 0, 0) == 0
    assert np.frombuffer(acl.util.ptr_to_bytes(pointer, 12), np.float16).tolist() == [1.5] * 6
