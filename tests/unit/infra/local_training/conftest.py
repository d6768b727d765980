"""Fixtures for a training on this machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.ports.training import TrainJob
from tests.unit.infra.local_training.doubles import fake_checkout, small_data

KEY = "ab" * 32


@pytest.fixture
def fake_main(tmp_path: Path) -> Path:
    """The path of a `models/main.py` that trains in no time."""
    return fake_checkout(tmp_path / "checkout")


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., TrainJob]:
    """Make a training job: `job(epochs=3)`."""
    data = small_data(tmp_path / "data")
    (tmp_path / "work").mkdir()
    return lambda **spec: TrainJob(KEY, data, {"epochs": 2, **spec}, tmp_path / "work")
