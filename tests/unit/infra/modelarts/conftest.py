"""Fixtures for everything that trains."""

import contextlib
import shutil
from pathlib import Path

import pytest

from infra.modelarts import plan
from infra.ports.training import TrainJob
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.jobs import PLACE, numbered

KEY = "ab" * 32


@pytest.fixture
def fake_main(tmp_path):
    """A checkout whose models/main.py speaks the protocol and trains in no time; yields the program's path."""
    path = tmp_path / "checkout" / "models" / "main.py"
    path.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "local_training" / "fake_main.py", path)
    return path


@pytest.fixture
def data(tmp_path):
    """A folder shaped like the data set."""
    return doubles.small_data(tmp_path / "data")


@pytest.fixture
def store(tmp_path):
    """A bucket."""
    return doubles.FolderStore(tmp_path / "objects")


@pytest.fixture
def job(tmp_path, data, fake_main, store):
    """Makes a training job whose data and code are uploaded: `job(epochs=3)`."""
    data_address = store.put_tree("af/data/1", data)
    code_address = store.put_tree("af/code/1/models", fake_main.parent)

    def make(key=KEY, **spec):
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return TrainJob(key, data, {"epochs": 2, **spec}, folder, data_address, code_address)

    return make


@pytest.fixture
def world(tmp_path, store):
    """Makes a stand-in, a client and a trainer: `with world(faults=…, trainer_faults=…) as (trainer, platform)`."""

    @contextlib.contextmanager
    def make(faults="", trainer_faults="", options=doubles.QUICK, **settings):
        with doubles.stand_in(tmp_path / "platform", store, options, faults) as (platform, found):
            reachable = found.model_copy(update=settings)
            with doubles.client_for(reachable) as client:
                yield doubles.trainer_for(client, store, reachable, tmp_path, trainer_faults), platform

    return make


@pytest.fixture
def body(job):
    """Makes the body of a job: `body(attempt=2, epochs=3)`."""

    def make(attempt=1, **spec):
        return plan.body(job(**spec), numbered(attempt), doubles.settings_for(1), PLACE)

    return make


@pytest.fixture
def asking(tmp_path, store):
    """A stand-in with quick phases, and a client."""
    with doubles.stand_in(tmp_path / "platform", store) as (platform, settings), doubles.client_for(settings) as client:
        client.platform = platform
        client.port = int(settings.endpoint.rpartition(":")[2])
        yield client
