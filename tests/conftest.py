"""What all tests share: an environment without our variables, so that a developer's settings change no result."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.pages import browser, page, watch  # noqa: F401 - fixtures for every test

# Tests import ONNX Runtime themselves; like the code under test, they tell nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Compiled once for all tests, and for the next time.
KERNELS = str(Path(tempfile.gettempdir()) / f"atlasflow-test-kernels-{os.getuid()}")
os.environ["ATLASFLOW_KERNELS"] = KERNELS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", metavar="FOLDER", help="keep pictures of pages for the documentation")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("ATLASFLOW_", "PREFECT_")) and not name.startswith("ATLASFLOW_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ATLASFLOW_KERNELS", KERNELS)
    monkeypatch.setenv("ATLASFLOW_FLEET", "/nowhere/boards.toml")
