"""What a job wrote is taken only when it is what the job says it wrote."""

import json
from dataclasses import replace

import pytest

from infra.errors import Corrupt
from infra.modelarts.emulator import server
from infra.obs.client import connect
from infra.obs.emulator import seaweedfs
from infra.ports.values import LocalFile
from infra.services import Services
from infra.settings import ModelArtsSettings, ObsSettings
from infra.store.digests import file_digest
from tests.unit.infra.modelarts import doubles
from tests.unit.infra.modelarts.conftest import KEY

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # the SDK, on 3.12


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"no_digests": True}, r"wrote no digests\.json"),
        ({"digests": {"history.json": "0" * 64}}, r"history\.json"),
        ({"digests": {"absent.ckpt": "0" * 64}}, r"no absent\.ckpt"),
        ({"digests": {"../above": "0" * 64}}, "leave the folder"),
        ({"digests": {"number": 1}}, "no list of digests"),
    ],
)
def test_results_that_are_not_whole_are_damage_and_a_new_training_helps(world, job, spec, match):
    todo = job(**spec)
    with world() as (trainer, platform):
        with pytest.raises(Corrupt, match=match):
            trainer.train(todo, print)
        assert trainer._ledger.read(KEY).settled
        trainer.train(replace(job(), again=True), print)
        assert [record.name[-2:] for record in platform.book.all()] == ["-1", "-2"]


def test_an_altered_result_is_not_taken(world, job, store):
    todo = job()
    with world() as (trainer, _):
        trainer.train(todo, print)
        (todo.folder / "history.json").unlink()
        (store.folder / "af/jobs" / KEY[:24] / "results/history.json").write_text('{"epochs": 9}')
        with pytest.raises(Corrupt):
            trainer.train(todo, print)


def test_only_what_the_job_lists_is_fetched(world, job, store):
    todo = job()
    stale = store.folder / "af/jobs" / KEY[:24] / "results/stale.ckpt"
    stale.parent.mkdir(parents=True)
    stale.write_text("of somebody else")
    with world() as (trainer, _):
        trainer.train(todo, print)
    assert not (todo.folder / "stale.ckpt").exists()
    assert (todo.folder / "epoch-2.ckpt").exists()


@pytest.fixture
def home(tmp_path):
    yield tmp_path / "home"
    services = Services(tmp_path / "home")
    services.stop(server.NAME)
    services.stop(seaweedfs.NAME)


def test_the_platform_keeps_no_digests_and_leaves_no_upload_unfinished(home, job, data, fake_main, tmp_path):
    """Through a real object server: what the stand-in writes has no metadata of ours, and is verified all the same."""
    services = Services(home)
    services.start(seaweedfs.service(services, home))
    obs = seaweedfs.reach(ObsSettings(bucket="bucket", prefix="af"), services, home)
    bucket = connect(obs, emulated=True)
    bucket.ensure_bucket()
    for prefix, folder in (("af/code/1/models", fake_main.parent), ("af/data/1", data)):
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        bucket.sync(prefix, {name: LocalFile(p, file_digest(p), p.stat().st_size) for name, p in files.items()})
    services.start(server.service(services, home, obs, doubles.QUICK))
    chosen = ModelArtsSettings(engine="mindspore-stand-in-cpu", flavor="modelarts.vm.cpu.2u", poll_seconds=0.1)
    todo = job()
    settings = server.reach(chosen, services, home)
    with doubles.client_for(settings) as client:
        doubles.trainer_for(client, bucket, settings, tmp_path).train(todo, print)
    results = f"af/jobs/{KEY[:24]}/results"
    assert bucket.head(f"{results}/history.json").sha256 is None
    assert json.loads((todo.folder / "digests.json").read_text())["history.json"] == file_digest(
        todo.folder / "history.json"
    )
    assert bucket.unfinished("") == []
