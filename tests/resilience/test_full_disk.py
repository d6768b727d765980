"""A disk that is full at any write of the store: a refusal in plain words, nothing half-made; the next run heals."""

from pathlib import Path
from typing import Any

import pytest

from tests.resilience.sweep import Sweep

STORE = ("object.", "tree.", "receipt.", "compile.")


@pytest.mark.parametrize("stage", ["download", "upload", "convert"])
def test_a_full_disk(driver: Any, reference: Any, tmp_path: Path, stage: str) -> None:
    sweep = Sweep(driver, reference, tmp_path, stage)
    writes = [number for number in sweep.boundaries() if sweep.names[number - 1].startswith(STORE)]
    count = sweep.fill_each(sweep.samples(writes))
    assert count >= 8
