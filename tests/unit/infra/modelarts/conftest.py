"""Fixtures for trainings on the stand-in."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from infra.modelarts import plan
from infra.modelarts.client import ModelArts
from infra.modelarts.emulator.platform import Platform
from infra.modelarts.trainer import ModelArtsTrainer
from infra.ports.training import TrainJob
from infra.settings import ModelArtsSettings, ModelArtsStandInSettings
from tests.unit.infra.local_training.doubles import fake_checkout, small_data
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.jobs import KEY, PATHS, numbered

Json = dict[str, Any]
MakeBody = Callable[..., Json]


class MakeJob(Protocol):
    """Makes a training job with uploaded data and code: `job(epochs=3)`."""

    def __call__(self, *, key: str = ..., **spec: object) -> TrainJob: ...


@dataclass
class World:
    """A stand-in with a client and a trainer."""

    trainer: ModelArtsTrainer
    platform: Platform
    store: doubles.FolderStore
    settings: ModelArtsSettings
    folder: Path

    def another_trainer(self, faults: str = "", *, installation: str = "") -> ModelArtsTrainer:
        """Make a trainer of this installation, or of another one."""
        return doubles.trainer_for(self.trainer.client, self.store, self.settings, self.folder / installation, faults)

    @property
    def attempts(self) -> list[int]:
        """The attempt numbers of all jobs, oldest first."""
        return [plan.attempt_number(record.name) for record in self.platform.book.all()]


class OpenWorld(Protocol):
    """Opens a world: `with open_world(faults=…, trainer_faults=…) as world`."""

    def __call__(
        self,
        faults: str = "",
        trainer_faults: str = "",
        options: ModelArtsStandInSettings = ...,
        **settings: object,
    ) -> AbstractContextManager[World]: ...


@dataclass
class StandIn:
    """A stand-in with quick phases, and its client."""

    client: ModelArts
    platform: Platform
    port: int


@pytest.fixture
def fake_main(tmp_path: Path) -> Path:
    """The path of a `models/main.py` that trains in no time."""
    return fake_checkout(tmp_path / "checkout")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder shaped like the data set."""
    return small_data(tmp_path / "data")


@pytest.fixture
def store(tmp_path: Path) -> doubles.FolderStore:
    """A bucket."""
    return doubles.FolderStore(tmp_path / "objects")


@pytest.fixture
def job(tmp_path: Path, data: Path, fake_main: Path, store: doubles.FolderStore) -> MakeJob:
    """Make a training job with uploaded data and code: `job(epochs=3)`."""
    data_address = store.put_tree("af/data/1", data)
    code_address = store.put_tree("af/code/1/models", fake_main.parent)

    def make(*, key: str = KEY, **spec: object) -> TrainJob:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return TrainJob(key, data, {"epochs": 2, **spec}, folder, data_address, code_address)

    return make


@pytest.fixture
def open_world(tmp_path: Path, store: doubles.FolderStore) -> OpenWorld:
    """Open a stand-in, a client and a trainer: `with open_world(faults=…, trainer_faults=…) as world`."""

    @contextmanager
    def make(
        faults: str = "",
        trainer_faults: str = "",
        options: ModelArtsStandInSettings = doubles.QUICK,
        **settings: object,
    ) -> Iterator[World]:
        with doubles.stand_in(tmp_path / "platform", store, options, faults) as (platform, found):
            reachable = found.model_copy(update=settings)
            with doubles.client_for(reachable) as client:
                trainer = doubles.trainer_for(client, store, reachable, tmp_path, trainer_faults)
                yield World(trainer, platform, store, reachable, tmp_path)

    return make


@pytest.fixture
def body(job: MakeJob) -> MakeBody:
    """Make the body of a job: `body(attempt=2, epochs=3)`."""

    def make(attempt: int = 1, **spec: Any) -> Json:
        return plan.body(job(**spec), numbered(attempt), doubles.settings_for(1), PATHS)

    return make


@pytest.fixture
def running(tmp_path: Path, store: doubles.FolderStore) -> Iterator[StandIn]:
    """A stand-in with quick phases, and its client."""
    with doubles.stand_in(tmp_path / "platform", store) as (platform, settings), doubles.client_for(settings) as client:
        yield StandIn(client, platform, int(settings.endpoint.rpartition(":")[2]))


@pytest.fixture
def client(running: StandIn) -> ModelArts:
    """The client of a stand-in with quick phases."""
    return running.client
