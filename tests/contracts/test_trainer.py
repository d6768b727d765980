"""The contract of every `Trainer`, wherever it trains. Tests with MindSpore are marked `mindspore`.

The real ModelArts is tested too if it is named: `ATLASFLOW_TEST_MODELARTS_ENDPOINT`, `…_PROJECT_ID` (looked up if
unset), `…_ACCESS_KEY`, `…_SECRET_KEY`, `…_ENGINE` (any with Python 3), `…_FLAVOR`, and for an existing bucket
`…_OBS_ENDPOINT`, `…_REGION` and `…_BUCKET`. Each test then pays for one or two jobs of a few seconds; jobs and objects
are deleted afterwards.
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.errors import Refused, Transient, UserError
from infra.local_training.trainer import MAIN, LocalTrainer
from infra.modelarts.client import connect
from infra.modelarts.trainer import ModelArtsTrainer
from infra.obs.client import connect as connect_obs
from infra.ports.storage import ObjectStore
from infra.ports.training import Epoch, Trainer, TrainEvent, TrainJob
from infra.ports.values import LocalFile
from infra.settings import ModelArtsSettings, ObsSettings
from infra.store.digests import file_digest
from tests.unit.infra.local_training.doubles import Recorder, fake_checkout, ignore, small_data
from tests.unit.infra.modelarts import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # ModelArts' SDK, on 3.12

REAL = "ATLASFLOW_TEST_MODELARTS_"
OBS_VARIABLES = {"endpoint": "OBS_ENDPOINT", "region": "REGION", "bucket": "BUCKET"}
KINDS = [
    "local",
    "modelarts-stand-in",
    pytest.param(
        "modelarts",
        marks=pytest.mark.skipif(f"{REAL}ENDPOINT" not in os.environ, reason=f"{REAL}ENDPOINT is not set"),
    ),
]
MakeJob = Callable[[str, str], TrainJob]


@dataclass(frozen=True)
class World:
    """A trainer, and the bucket that it reads."""

    trainer: Trainer
    store: ObjectStore


@pytest.fixture
def fake_main(tmp_path: Path) -> Path:
    """The path of a `models/main.py` that trains in no time."""
    return fake_checkout(tmp_path / "checkout")


@pytest.fixture
def store(tmp_path: Path) -> doubles.FolderStore:
    """A bucket."""
    return doubles.FolderStore(tmp_path / "objects")


@pytest.fixture
def key() -> str:
    """A new stage key, as job names are unique on the platform."""
    return secrets.token_hex(32)


@pytest.fixture(params=KINDS)
def world(
    request: pytest.FixtureRequest, fake_main: Path, store: doubles.FolderStore, key: str, tmp_path: Path
) -> Iterator[World]:
    """Each trainer in turn."""
    if request.param == "local":
        yield World(LocalTrainer(fake_main), store)
    elif request.param == "modelarts-stand-in":
        with doubles.stand_in(tmp_path / "platform", store) as (_, settings), doubles.client_for(settings) as client:
            yield World(doubles.trainer_for(client, store, settings, tmp_path), store)
    else:
        yield from real_platform(key, tmp_path)


def real_platform(key: str, folder: Path) -> Iterator[World]:
    """Open the ModelArts that the environment names, and its bucket; delete all jobs and objects afterwards."""
    named = {name: os.environ[f"{REAL}{name}"] for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "ENGINE", "FLAVOR")}
    keys = {"access_key": named.pop("ACCESS_KEY"), "secret_key": named.pop("SECRET_KEY")}
    prefix = f"atlasflow-test-{key[:8]}"
    place = {name: os.environ[f"{REAL}{variable}"] for name, variable in OBS_VARIABLES.items()}
    obs = ObsSettings.model_validate({**place, **keys, "prefix": prefix})
    chosen = {name.lower(): value for name, value in named.items()}
    project = os.environ.get(f"{REAL}PROJECT_ID", "")
    settings = ModelArtsSettings.model_validate(
        {**chosen, **keys, "project_id": project, "auto_stop_hours": 1, "jobs_at_once": 50}
    )
    store, client = connect_obs(obs), connect(settings, obs, emulated=False)
    intents = folder / "intents"
    trainer = ModelArtsTrainer(lambda: client, lambda: store, settings, prefix, intents, emulated=False)
    try:
        yield World(trainer, store)
    finally:
        for job in trainer.jobs():
            if key[:24] in job.name:
                client.delete(job.id)
        store.delete([name for name, _ in store.list(f"{prefix}/")])
        client.close()


@pytest.fixture
def trainer(world: World) -> Trainer:
    """The trainer."""
    return world.trainer


@pytest.fixture
def job(tmp_path: Path, world: World, key: str, fake_main: Path) -> TrainJob:
    """A training of two epochs with uploaded data and code."""
    data = small_data(tmp_path / "data")
    (tmp_path / "work").mkdir()
    prefix = f"atlasflow-test-{key[:8]}"
    data_address = upload(world.store, f"{prefix}/data", data)
    code_address = upload(world.store, f"{prefix}/models", fake_main.parent)
    return TrainJob(key, data, {"epochs": 2}, tmp_path / "work", data_address, code_address)


def upload(store: ObjectStore, prefix: str, folder: Path) -> str:
    """Send all files of a folder; return their address."""
    store.sync(prefix, doubles.local_files(folder))
    return f"obs://{store.bucket}/{prefix}/"


def test_results_are_complete_and_events_arrive(trainer: Trainer, job: TrainJob) -> None:
    recorder = Recorder()
    trainer.train(job, recorder)
    assert recorder.epochs == [1, 2]
    assert json.loads((job.folder / "history.json").read_text()) == {"epochs": 2}
    assert "data_batch_1.bin" in (job.folder / "epoch-2.ckpt").read_text()


def test_a_second_call_repeats_nothing(trainer: Trainer, job: TrainJob) -> None:
    recorder = Recorder()
    trainer.train(job, ignore)
    trainer.train(job, recorder)
    assert recorder.epochs in ([], [1, 2])  # the log of a remote job may be reported again
    assert json.loads((job.folder / "history.json").read_text()) == {"epochs": 2}


def test_a_training_that_broke_resumes(trainer: Trainer, job: TrainJob) -> None:
    recorder = Recorder()
    with pytest.raises(Transient):
        trainer.train(replace(job, spec={"epochs": 3, "break_after": 1}), ignore)
    trainer.train(replace(job, spec={"epochs": 3}), recorder)
    assert recorder.epochs[-2:] == [2, 3]
    assert (job.folder / "history.json").exists()


def test_the_program_s_own_error_is_raised(trainer: Trainer, job: TrainJob) -> None:
    error = {"kind": "user", "message": "recipe.epochs must be positive", "hint": "set train.epochs"}
    with pytest.raises(UserError, match=r"recipe\.epochs must be positive") as caught:
        trainer.train(replace(job, spec={"epochs": 0, "error": error, "exit": 2}), ignore)
    assert "set train.epochs" in caught.value.hint


def test_a_pretrained_checkpoint_reaches_the_program(trainer: Trainer, job: TrainJob, tmp_path: Path) -> None:
    path = tmp_path / "start.ckpt"
    path.write_text("weights")
    trainer.train(replace(job, pretrained=LocalFile(path, file_digest(path), 7)), ignore)
    assert json.loads((job.folder / "pretrained.json").read_text()) == {"start": "weights"}


def test_the_producer_stays_the_same(trainer: Trainer) -> None:
    assert trainer.producer() == trainer.producer()
    assert trainer.producer().version


@pytest.fixture
def real_job(tmp_path: Path, store: doubles.FolderStore) -> MakeJob:
    """Make a training of two epochs by the real models/main.py, on a few random images."""
    record = bytes([3]) + bytes(range(256)) * 12
    for number in range(1, 6):
        path = tmp_path / "cifar" / "train" / f"data_batch_{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record * 16)
    (tmp_path / "cifar" / "eval").mkdir()
    (tmp_path / "cifar" / "eval" / "test_batch.bin").write_bytes(record * 16)
    (tmp_path / "cifar" / "batches.meta.txt").write_text("airplane\n")
    (tmp_path / "code").mkdir()
    models = tmp_path / "code" / "models"
    shutil.copytree(MAIN.parent, models, ignore=shutil.ignore_patterns("__pycache__"))
    addresses = store.put_tree("data", tmp_path / "cifar"), store.put_tree("code/models", models)
    spec = {"network": "lenet5", "epochs": 2, "batch_size": 16}
    return lambda key, folder: TrainJob(key, tmp_path / "cifar", spec, tmp_path / folder, *addresses)


@pytest.mark.mindspore
def test_all_trainers_make_the_same_bytes(real_job: MakeJob, store: doubles.FolderStore, tmp_path: Path) -> None:
    local, remote = real_job("cd" * 32, "local"), real_job("ef" * 32, "remote")
    recorder = Recorder()
    LocalTrainer().train(local, ignore)
    with doubles.stand_in(tmp_path / "platform", store) as (_, settings), doubles.client_for(settings) as client:
        doubles.trainer_for(client, store, settings, tmp_path).train(remote, recorder)
    assert recorder.epochs == [1, 2]
    for name in ("checkpoint.ckpt", "result.json", "train.log"):
        assert (remote.folder / name).is_file()
    assert (local.folder / "checkpoint.ckpt").read_bytes() == (remote.folder / "checkpoint.ckpt").read_bytes()
    assert json.loads((local.folder / "result.json").read_text()) == json.loads(
        (remote.folder / "result.json").read_text()
    )


@pytest.mark.mindspore
def test_mindspore_resumes_in_a_second_job_with_the_same_bytes(
    real_job: MakeJob, store: doubles.FolderStore, tmp_path: Path
) -> None:
    whole, broken = real_job("cd" * 32, "whole"), real_job("ef" * 32, "broken")
    recorder = Recorder()
    LocalTrainer().train(whole, ignore)
    with doubles.stand_in(tmp_path / "platform", store) as (platform, settings), doubles.client_for(settings) as client:

        def stop_after_epoch_1(event: TrainEvent) -> None:
            if isinstance(event, Epoch) and event.epoch == 1:
                platform.stop(platform.book.all()[-1])

        trainer = doubles.trainer_for(client, store, settings, tmp_path)
        with pytest.raises(Refused, match="stopped on the platform"):
            trainer.train(broken, stop_after_epoch_1)
        trainer.train(broken, recorder)
    assert any("resumed after epoch" in line for line in recorder.log)
    assert (whole.folder / "checkpoint.ckpt").read_bytes() == (broken.folder / "checkpoint.ckpt").read_bytes()
