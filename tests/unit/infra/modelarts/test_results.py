"""Results of a job are accepted only when they match the job's list of digests."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Corrupt
from infra.modelarts.emulator import server
from infra.obs.client import connect
from infra.obs.emulator import seaweedfs
from infra.services import Services
from infra.settings import ModelArtsSettings, ObsSettings
from infra.store.digests import file_digest
from tests.unit.infra.local_training.doubles import ignore
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import MakeJob, OpenWorld
from tests.unit.infra.modelarts.jobs import KEY, PATHS

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"no_digests": True}, r"wrote no digests\.json"),
        ({"digests": {"history.json": "0" * 64}}, r"history\.json"),
        ({"digests": {"absent.ckpt": "0" * 64}}, r"no absent\.ckpt"),
        ({"digests": {"../above": "0" * 64}}, "not a plain relative path"),
        ({"digests": {"number": 1}}, "not a list of digests"),
    ],
)
def test_incomplete_results_are_corrupt_and_a_new_training_replaces_them(
    open_world: OpenWorld, job: MakeJob, spec: dict[str, Any], match: str
) -> None:
    with open_world() as world:
        with pytest.raises(Corrupt, match=match):
            world.trainer.train(job(**spec), ignore)
        intent = world.trainer.ledger.read(KEY)
        assert intent is not None
        assert intent.settled
        world.trainer.train(replace(job(), again=True), ignore)
        assert world.attempts == [1, 2]


def test_a_changed_result_is_refused(open_world: OpenWorld, job: MakeJob, store: doubles.FolderStore) -> None:
    todo = job()
    with open_world() as world:
        world.trainer.train(todo, ignore)
        (todo.folder / "history.json").unlink()
        (store.folder / PATHS.results(KEY) / "history.json").write_text('{"epochs": 9}')
        with pytest.raises(Corrupt):
            world.trainer.train(todo, ignore)


def test_only_listed_results_are_fetched(open_world: OpenWorld, job: MakeJob, store: doubles.FolderStore) -> None:
    todo = job()
    stale = store.folder / PATHS.results(KEY) / "stale.ckpt"
    stale.parent.mkdir(parents=True)
    stale.write_text("of another program")
    with open_world() as world:
        world.trainer.train(todo, ignore)
    assert not (todo.folder / "stale.ckpt").exists()
    assert (todo.folder / "epoch-2.ckpt").exists()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    services.stop(server.NAME)
    services.stop(seaweedfs.NAME)


@pytest.mark.service
def test_the_platform_stores_no_digests_and_leaves_no_upload_unfinished(
    home: Path, job: MakeJob, data: Path, fake_main: Path, tmp_path: Path
) -> None:
    """With a real object server: the objects have no digests in their metadata, and are verified all the same."""
    services = Services(home)
    services.start(seaweedfs.service(services, home))
    obs = seaweedfs.reach(ObsSettings(bucket="bucket", prefix="af"), services, home)
    bucket = connect(obs, emulated=True)
    bucket.ensure_bucket()
    for prefix, folder in (("af/code/1/models", fake_main.parent), ("af/data/1", data)):
        bucket.sync(prefix, doubles.local_files(folder))
    services.start(server.service(services, home, obs, doubles.QUICK))
    chosen = ModelArtsSettings(engine="mindspore-stand-in-cpu", flavor="modelarts.vm.cpu.2u", poll_seconds=0.1)
    todo = job()
    settings = server.reach(chosen, services, home)
    with doubles.client_for(settings) as client:
        doubles.trainer_for(client, bucket, settings, tmp_path).train(todo, ignore)
    stored = bucket.head(f"{PATHS.results(KEY)}/history.json")
    assert stored is not None
    assert stored.sha256 is None
    digests = json.loads((todo.folder / "digests.json").read_text())
    assert digests["history.json"] == file_digest(todo.folder / "history.json")
    assert bucket.unfinished("") == []
