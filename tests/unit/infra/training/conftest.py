"""Fixtures for everything that trains."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def fake_main(tmp_path):
    """A checkout whose models/main.py speaks the protocol and trains in no time; yields the program's path."""
    path = tmp_path / "checkout" / "models" / "main.py"
    path.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("fake_main.py"), path)
    return path


@pytest.fixture
def data(tmp_path):
    """A folder shaped like the data set."""
    for name in ("train/data_batch_1.bin", "eval/test_batch.bin", "batches.meta.txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "data"
