"""The agent's modules in this process; `preprocess` and `parity` lie beside them on a board."""

import sys

import pytest

from models import parity, preprocess


@pytest.fixture(autouse=True)
def preprocess_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "preprocess", preprocess)
    monkeypatch.setitem(sys.modules, "parity", parity)
