"""A fresh `acl` for each test, as a program on the board would import it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.atc.emulator.om import write_om
from tests import boards

FOLDER = str(boards.CHECKOUT / "infra" / "board" / "emulator" / "acl")
H2H, H2D, D2H, D2D = range(4)  # the kinds of `acl.rt.memcpy`: host and device


@pytest.fixture
def fresh_acl(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`acl` just imported, nothing called yet."""
    forget()
    monkeypatch.syspath_prepend(FOLDER)
    module = importlib.import_module("acl")
    yield module
    for device in list(importlib.import_module("acl._world").WORLD.devices):
        module.rt.reset_device(device)
    module.finalize()
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name == "acl" or name.startswith("acl.")]:
        del sys.modules[name]


@pytest.fixture
def acl(fresh_acl: Any) -> Any:
    """`acl` with a device and a context."""
    assert fresh_acl.init() == 0
    assert fresh_acl.rt.set_device(0) == 0
    _, code = fresh_acl.rt.create_context(0)
    assert code == 0
    return fresh_acl


@pytest.fixture
def host_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is a host with a card. Ask for it before `acl`."""
    monkeypatch.setenv("ATLASFLOW_ACL_RUN_MODE", "host")


@pytest.fixture
def om(tmp_path: Path) -> Any:
    """Write an `.om` of one matrix; returns its path as text."""

    def write(**options: Any) -> Any:
        path = tmp_path / "model.om"
        write_om(path, boards.linear_om(boards.weights(), **options))
        return str(path)

    return write
