"""The agent's modules in this process; `preprocess` lies beside them on a board."""

import sys

import pytest

from models import preprocess


@pytest.fixture(autouse=True)
def preprocess_beside(monkeypatch):
    monkeypatch.setitem(sys.modules, "preprocess", preprocess)
