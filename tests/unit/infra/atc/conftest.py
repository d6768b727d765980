"""A folder in which the compiler is called."""

from pathlib import Path

import pytest

from tests.unit.infra.atc.emulator.networks import lenet, saved


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with some models in it."""
    monkeypatch.chdir(tmp_path)
    saved(lenet(), tmp_path / "net.onnx")
    saved(lenet("n"), tmp_path / "open.onnx")
    return tmp_path
