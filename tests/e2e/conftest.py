"""One home for each group of end-to-end tests: a copy of one that the first run made; at the end its services stop.

The first run of a fresh home takes long, so there is one for all groups and all workers of pytest-xdist.
"""

import fcntl
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all workers of this session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def made_once(path: Path) -> Iterator[bool]:
    """Give True to the one who is to make `path`; others wait until it is there."""
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not path.exists()


@pytest.fixture(scope="session")
def small_archive(shared: Path) -> Path:
    """The shipped sample with the first records of each file alone."""
    path = shared / "small.tar.gz"
    with made_once(path) as ours:
        if ours:
            _cut_sample(path.with_name("unfinished.tar.gz")).rename(path)
    return path


def _cut_sample(path: Path) -> Path:
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


@dataclass(frozen=True)
class FirstRun:
    """The run that made the home of which the others are copies.

    Attributes:
        base: the folder of that home.
        printed: what `atlasflow run` printed.
        prefect: the address that the Prefect server had.
        said: everything that commands printed there.
    """

    base: str
    printed: str
    prefect: str
    said: list[str]


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
def first_run(shared: Path, small_archive: Path) -> FirstRun:
    """The first run in a new home, whose services are stopped afterwards."""
    path = shared / "first-run.json"
    with made_once(path) as ours:
        if ours:
            base = Path(tempfile.mkdtemp(prefix="first-run-", dir=shared))
            home = install(base, small_archive)
            printed = home.atlasflow("run")
            address = home.services()["prefect"]["address"]
            home.atlasflow("down")
            assert_nothing_runs(home)
            found = FirstRun(str(base), printed, address, home.said)
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_text(json.dumps(asdict(found)))
            unfinished.rename(path)
    return FirstRun(**json.loads(path.read_text()))


@pytest.fixture(scope="session")
def homes(
    tmp_path_factory: pytest.TempPathFactory, small_archive: Path, first_run: FirstRun
) -> Iterator[Callable[[str], Installation]]:
    """Homes by group of tests; at the end their services are stopped, and nothing of them is left running."""
    made: dict[str, Installation] = {}

    def home_of(group: str) -> Installation:
        if group not in made:
            for home in made.values():
                _stop(home)  # groups come one after the other, and idle services take time, too
            base = tmp_path_factory.mktemp("e2e")
            made[group] = install(base, small_archive)
            made[group].said += first_run.said
            _copy(Path(first_run.base), base)
        return made[group]

    yield home_of
    for home in made.values():
        _stop(home)


def _stop(home: Installation) -> None:
    if home.services():
        home.atlasflow("down")
        assert_nothing_runs(home)


def _copy(source: Path, target: Path) -> None:
    """Copy the folder of an installation. In the copy, `latest` shows its own files, and services find new ports."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    for link in (path for path in (target / "home" / "latest").rglob("*") if path.is_symlink()):
        own = target / link.readlink().relative_to(source)
        link.unlink()
        link.symlink_to(own)
    for state in (target / "home" / "services").glob("*.json"):
        state.unlink()


@pytest.fixture(scope="module")
def untouched(homes: Callable[[str], Installation], request: pytest.FixtureRequest) -> Installation:
    """The home of the module's group, as the first run left it when the first of them asks for it."""
    return homes(group_of(request.path))


@pytest.fixture
def made(untouched: Any) -> Any:
    """The home with everything made and fresh."""
    untouched.settle()
    return untouched


def assert_nothing_runs(installation: Any) -> None:
    """No process names the home. (Its ports say nothing: another home of the same test run may have taken them.)"""
    assert installation.services()
    here = str(installation.folder)
    for process in psutil.process_iter():
        try:
            said = [*process.cmdline(), process.environ().get("ATLASFLOW_HOME", "")]
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to somebody else
        assert not any(here in word for word in said), f"{process} still runs"
