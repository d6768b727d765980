import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.errors import UserError
from infra.modelarts.factory import open_client, open_trainer, stand_ins
from infra.obs.client import ObsClient, connect
from infra.obs.emulator import seaweedfs
from infra.services import Services
from infra.settings import load
from tests.unit.infra.local_training.doubles import Recorder
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeJob

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    for name in ("modelarts", "objectstore-obs-cn-north-4", "objectstore"):
        services.stop(name)


@pytest.mark.service
def test_the_twin_profile_trains_with_its_own_services(home: Path, job: MakeJob, data: Path, fake_main: Path) -> None:
    settings = load("twin")
    services = Services(home)

    def open_store() -> ObsClient:
        for service in seaweedfs.stand_ins(settings.obs, services, home):
            services.start(service)
        return connect(seaweedfs.reached(settings.obs, services, home), emulated=True)

    trainer = open_trainer(settings.modelarts, settings.obs, services, home, open_store)
    assert trainer.producer().emulated
    assert not services.folder.exists()

    store = open_store()
    assert store.endpoint == "https://obs.cn-north-4.myhuaweicloud.com"
    store.ensure_bucket()
    for prefix, folder in (("code/models", fake_main.parent), ("data", data)):
        store.sync(prefix, doubles.local_files(folder))
    todo = dataclasses.replace(
        job(), data_address=f"obs://{store.bucket}/data/", code_address=f"obs://{store.bucket}/code/models/"
    )
    recorder = Recorder()
    trainer.train(todo, recorder)
    assert recorder.epochs == [1, 2]
    assert (todo.folder / "history.json").exists()
    needed = ["objectstore", "objectstore-obs-cn-north-4", "modelarts"]
    assert {status.name for status in services.status()} == set(needed)
    assert all("stand-in" in status.title for status in services.status())
    trainer.client.close()
    assert [service.name for service in stand_ins(settings.modelarts, settings.obs, services, home)] == needed


def test_the_real_platform_needs_a_real_object_store(tmp_path: Path) -> None:
    settings = load("cloud").model_copy(update={"obs": load("local").obs})
    with pytest.raises(UserError, match="embedded object store"):
        open_client(settings.modelarts, settings.obs, Services(tmp_path), tmp_path)


def test_the_cloud_profile_needs_keys(tmp_path: Path) -> None:
    settings = load("cloud")
    with pytest.raises(UserError, match="keys for ModelArts are not set"):
        open_client(settings.modelarts, settings.obs, Services(tmp_path), tmp_path)
    assert stand_ins(settings.modelarts, settings.obs, Services(tmp_path), tmp_path) == []
    assert settings.obs.secret_key == SecretStr("")
