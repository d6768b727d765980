"""Damaged weights end in an error of ours before a training gets them, whatever the damage is."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from infra.errors import AtlasFlowError, Corrupt, UserError
from infra.weights_file import check_weights

GOOD = save({"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(2, np.float16)})
LENGTH = 8 + struct.unpack("<Q", GOOD[:8])[0]
HEADER, BYTES = json.loads(GOOD[8:LENGTH]), GOOD[LENGTH:]


def refused(folder: Path, data: bytes) -> AtlasFlowError | None:
    """What `check_weights` says to a file; nothing else than an error of ours may be raised."""
    path = folder / "x.safetensors"
    path.write_bytes(data)
    try:
        check_weights(path)
    except (Corrupt, UserError) as error:
        assert str(path) in error.message
        return error
    return None


def with_header(header: Any, rest: bytes = BYTES) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def test_good_weights_and_other_files_pass(tmp_path: Path) -> None:
    assert refused(tmp_path, GOOD) is None
    (tmp_path / "x.ckpt").write_bytes(b"something")
    check_weights(tmp_path / "x.ckpt")


@pytest.mark.parametrize("part", ["dtype", "shape", "data_offsets", ""])
@pytest.mark.parametrize(
    "value",
    [None, True, -1, 2**70, 1.5, "x", "F8_E4M3", [], [[]], {}, [0], [2**62, 2**62], [-1, 4], [12, 0]],
    ids=ascii,
)
def test_a_wrong_part_of_a_header_is_refused(tmp_path: Path, part: str, value: Any) -> None:
    entry = {**HEADER["a.weight"], part: value} if part else value
    assert isinstance(refused(tmp_path, with_header({**HEADER, "a.weight": entry})), Corrupt)


def test_a_type_that_mindspore_lacks_is_named(tmp_path: Path) -> None:
    entry = {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}
    error = refused(tmp_path, with_header({"w": entry}, bytes(4)))
    assert isinstance(error, UserError)
    assert "parameter 'w' has the type F8_E4M3" in error.message


@pytest.mark.parametrize(
    "data",
    [b"", GOOD[:4], struct.pack("<Q", 2**63) + GOOD[8:], with_header(b"[" * 100_000), with_header(b'{"a":' * 9_000)],
    ids=["empty", "short", "long", "brackets", "tables"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, data: bytes) -> None:
    assert isinstance(refused(tmp_path, data), Corrupt)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(0, LENGTH - 1), st.binary(max_size=3), st.integers(0, 3))
def test_changed_bytes_of_the_header_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, new: bytes, old: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    refused(folder, GOOD[:place] + new + GOOD[place + old :])
    assert isinstance(refused(folder, GOOD[:place]), Corrupt)
