"""The two boards that every test of this folder runs on."""

import getpass
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from infra.board.client import SshBoard
from infra.board.emulator import service as emulator
from infra.services import Services
from tests import boards, openssh
from tests.contracts.board.site import NAME, Site, root

NUMBERS = itertools.count()


@pytest.fixture(scope="session", params=["stand-in", "openssh"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("home")
    services = Services(home)
    service = emulator.service(services, home, NAME)
    settings = emulator.board_settings(services, home, NAME)
    site = Site(settings, home / "boards" / NAME)
    if request.param == "stand-in":
        services.start(service)
        yield site
        services.stop(service.name)
        return
    if openssh.missing():
        pytest.skip(openssh.missing())
    with openssh.OpenSsh(site.folder) as port:
        yield Site(settings.model_copy(update={"port": port, "user": getpass.getuser()}), site.folder)


@pytest.fixture
def site(running: Any) -> Any:
    """The running board with a release folder of this test's own, whose name wants quoting."""
    name = f"it's folder $(number) {next(NUMBERS)}"
    found = Site(running.settings.model_copy(update={"folder": name}), running.folder)
    boards.give_keyring(root(found))
    return found


@pytest.fixture
def board(site: Any) -> Any:
    return SshBoard(NAME, site.settings)
