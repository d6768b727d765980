import dataclasses

import pytest
from pydantic import SecretStr

from infra.errors import UserError
from infra.modelarts.factory import open_client, open_trainer, stand_ins
from infra.obs.client import connect
from infra.obs.emulator import seaweedfs
from infra.ports.values import LocalFile
from infra.services import Services
from infra.settings import load
from infra.store.digests import file_digest

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    for name in ("modelarts", "objectstore-obs-cn-north-4", "objectstore"):
        services.stop(name)


def test_the_twin_profile_trains_through_services_of_its_own(home, job, data, fake_main, tmp_path):
    settings = load("twin")
    services = Services(home)

    def open_store():
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
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        store.sync(
            prefix, {name: LocalFile(path, file_digest(path), path.stat().st_size) for name, path in files.items()}
        )
    todo = dataclasses.replace(
        job(), data_address=f"obs://{store.bucket}/data/", code_address=f"obs://{store.bucket}/code/models/"
    )
    lines = []
    trainer.train(todo, lines.append)
    assert (todo.folder / "history.json").exists()
    needed = ["objectstore", "objectstore-obs-cn-north-4", "modelarts"]
    assert {status.name for status in services.status()} == set(needed)
    assert all("stand-in" in status.title for status in services.status())
    trainer.client.close()
    assert [service.name for service in stand_ins(settings.modelarts, settings.obs, services, home)] == needed


def test_the_real_platform_needs_a_real_object_store(tmp_path):
    settings = load("cloud").model_copy(update={"obs": load("local").obs})
    with pytest.raises(UserError, match="embedded object store"):
        open_client(settings.modelarts, settings.obs, Services(tmp_path), tmp_path)


def test_the_cloud_profile_asks_for_keys_first(tmp_path):
    settings = load("cloud")
    with pytest.raises(UserError, match="no keys"):
        open_client(settings.modelarts, settings.obs, Services(tmp_path), tmp_path)
    assert stand_ins(settings.modelarts, settings.obs, Services(tmp_path), tmp_path) == []
    assert settings.obs.secret_key == SecretStr("")
