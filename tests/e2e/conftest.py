"""One home for each group of end-to-end tests: made by its first run, stopped at the end, and then seen to be gone."""

import io
import socket
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import group_of
from tests.e2e.installation import Installation

CHECKOUT = Path(__file__).parents[2]
# Enough for every stage to have real work, and little enough to be quick.
RECORDS = 200
RECORD_BYTES = 3073


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The shipped sample with the first records of each file alone."""
    path = tmp_path_factory.mktemp("archive") / "small.tar.gz"
    sample = CHECKOUT / "data" / "cifar10-sample.tar.gz"
    with tarfile.open(sample) as whole, tarfile.open(path, "w:gz", compresslevel=1) as small:
        for member in filter(tarfile.TarInfo.isreg, whole):
            file = whole.extractfile(member)
            assert file is not None
            content = file.read()
            if member.name.endswith(".bin"):
                content = content[: RECORDS * RECORD_BYTES]
            info = tarfile.TarInfo(member.name)
            info.size = len(content)
            small.addfile(info, io.BytesIO(content))
    return path


@dataclass
class Home:
    """An installation and its first run."""

    installation: Installation

    @cached_property
    def first_run(self) -> Any:
        return self.installation.atlasflow("run")


def install(base: Any, archive: Any, **settings: Any) -> Any:
    """An installation in the empty folder `base` whose chain is quick."""
    for name in ("user", "elsewhere"):
        (base / name).mkdir()
    quick = {
        "ATLASFLOW_DATA__SOURCE": archive.as_uri(),
        "ATLASFLOW_DATA__SHA256": sha256(archive.read_bytes()).hexdigest(),
        "ATLASFLOW_TRAIN__EPOCHS": "2",
        "ATLASFLOW_EVALUATE__MIN_ACCURACY": "0.05",
    }
    return Installation(base / "home", base / "user", base / "elsewhere", quick | settings)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory, small_archive: Any) -> Iterator[Any]:
    """Homes by group of tests; at the end their services are stopped, and nothing of them is left running."""
    made: dict[str, Home] = {}

    def home_of(group: Any) -> Any:
        if group not in made:
            made[group] = Home(install(tmp_path_factory.mktemp("e2e"), small_archive))
        return made[group]

    yield home_of
    for home in made.values():
        if home.installation.services():
            home.installation.atlasflow("down")
            assert_nothing_runs(home.installation)


@pytest.fixture(scope="module")
def untouched(homes: Any, request: pytest.FixtureRequest) -> Any:
    """The home of the module's group, in which nothing ran yet when the first of them asks for it."""
    return homes(group_of(request.path)).installation


@pytest.fixture(scope="module")
def first_run(homes: Any, request: pytest.FixtureRequest) -> Any:
    """What the first run in that home printed."""
    return homes(group_of(request.path)).first_run


@pytest.fixture
def made(untouched: Any, first_run: Any) -> Any:
    """The home with everything made and fresh."""
    untouched.settle()
    return untouched


def assert_nothing_runs(installation: Any) -> None:
    assert installation.services()
    for name, state in installation.services().items():
        port = int(state["address"].rpartition(":")[2])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"{name} still answers"
    here = str(installation.folder)
    for process in psutil.process_iter():
        try:
            said = [*process.cmdline(), process.environ().get("ATLASFLOW_HOME", "")]
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to somebody else
        assert not any(here in word for word in said), f"{process} still runs"
