"""The record layout of CIFAR-10's binary files."""

from pathlib import Path

import numpy as np
import pytest

from models.data.records import RECORD_BYTES, decode, encode, read_records
from models.failures import Damage


def test_records_hold_a_label_and_three_planes(tmp_path: Path) -> None:
    records = np.random.default_rng(3).integers(0, 256, (4, RECORD_BYTES), dtype=np.uint8)
    records[:, 0] = [9, 0, 3, 3]
    path = tmp_path / "test_batch.bin"
    path.write_bytes(records.tobytes())
    np.testing.assert_array_equal(read_records(path), records)
    pixels, labels = decode(read_records(path))
    assert (labels.dtype, labels.tolist()) == (np.dtype(np.int32), [9, 0, 3, 3])
    assert (pixels.dtype, pixels.shape) == (np.dtype(np.uint8), (4, 32, 32, 3))
    row, column = 5, 20
    for colour in range(3):
        assert pixels[2, row, column, colour] == records[2, 1 + colour * 1024 + row * 32 + column]
    encoded = encode(pixels, labels)
    assert (encoded.dtype, encoded.tobytes()) == (np.dtype(np.uint8), records.tobytes())


@pytest.mark.parametrize("size", [0, 1, RECORD_BYTES - 1, RECORD_BYTES + 1])
def test_an_incomplete_record_is_damage(tmp_path: Path, size: int) -> None:
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(b"\0" * size)
    with pytest.raises(Damage, match=rf"data_batch_3\.bin has {size:,} bytes.*not a whole number"):
        read_records(path)


def test_a_label_above_nine_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "test_batch.bin"
    path.write_bytes(bytes(2 * RECORD_BYTES) + bytes([10]) + bytes(RECORD_BYTES - 1))
    with pytest.raises(Damage, match="record 2 has the label 10"):
        read_records(path)
