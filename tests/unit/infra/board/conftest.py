"""A stand-in board that runs, and a release folder on it for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.board.emulator import service as emulator
from infra.services import Services
from infra.settings import BoardSettings
from tests import boards

NUMBERS = itertools.count()


class StandIn(NamedTuple):
    services: Services
    home: Path
    settings: BoardSettings

    @property
    def root(self) -> Any:
        return self.home / "boards" / "laptop" / "home" / self.settings.folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("home")
    services = Services(home)
    service = emulator.service(services, home, "laptop")
    services.start(service)
    yield StandIn(services, home, emulator.board_settings(services, home, "laptop"))
    services.stop(service.name)


@pytest.fixture
def stand_in(running: Any) -> Any:
    folder = f"folder-{next(NUMBERS)}"
    found = running._replace(settings=running.settings.model_copy(update={"folder": folder}))
    boards.give_keyring(found.root)
    return found
