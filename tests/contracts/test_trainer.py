"""What every Trainer keeps to, wherever it trains. A trainer with MindSpore in it is marked `mindspore`.

The real ModelArts takes part where it is named: `ATLASFLOW_TEST_MODELARTS_ENDPOINT`, `…_PROJECT_ID` (else it is looked
up), `…_ACCESS_KEY`, `…_SECRET_KEY`, `…_ENGINE` (any with Python 3), `…_FLAVOR`, and for the bucket `…_OBS_ENDPOINT`,
`…_REGION` and `…_BUCKET`, which must be there. Every test then pays for a job of a few seconds, or two; jobs and
objects are deleted afterwards.
"""

import json
import os
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import Refused, Transient, UserError
from infra.local_training import protocol
from infra.local_training.trainer import MAIN, LocalTrainer
from infra.modelarts.client import connect
from infra.modelarts.trainer import ModelArtsTrainer
from infra.obs.client import connect as connect_obs
from infra.ports.training import TrainJob
from infra.ports.values import LocalFile
from infra.settings import ModelArtsSettings, ObsSettings
from infra.store.digests import file_digest
from tests.unit.infra.modelarts import doubles

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # ModelArts' SDK, on 3.12

FAKE_MAIN = Path(__file__).parents[1] / "unit" / "infra" / "local_training" / "fake_main.py"


@pytest.fixture
def fake_main(tmp_path):
    path = tmp_path / "checkout" / "models" / "main.py"
    path.parent.mkdir(parents=True)
    shutil.copy(FAKE_MAIN, path)
    return path


REAL = "ATLASFLOW_TEST_MODELARTS_"
KINDS = [
    "local",
    "modelarts-stand-in",
    pytest.param(
        "modelarts",
        marks=pytest.mark.skipif(f"{REAL}ENDPOINT" not in os.environ, reason=f"{REAL}ENDPOINT names no ModelArts"),
    ),
]


@pytest.fixture
def store(tmp_path):
    return doubles.FolderStore(tmp_path / "objects")


@pytest.fixture
def key():
    """A stage key that no job has had: names are unique on the platform."""
    return secrets.token_hex(32)


@pytest.fixture(params=KINDS)
def world(request, fake_main, store, key, tmp_path):
    """A trainer, and the bucket that it reads."""
    if request.param == "local":
        yield LocalTrainer(fake_main), store
    elif request.param == "modelarts-stand-in":
        with doubles.stand_in(tmp_path / "platform", store) as (_, settings), doubles.client_for(settings) as client:
            yield doubles.trainer_for(client, store, settings, tmp_path), store
    else:
        yield from real_platform(key, tmp_path)


def real_platform(key, folder):
    """A trainer on the ModelArts that the environment names, and its bucket; tidied up afterwards."""
    named = {name: os.environ[f"{REAL}{name}"] for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "ENGINE", "FLAVOR")}
    keys = {"access_key": named.pop("ACCESS_KEY"), "secret_key": named.pop("SECRET_KEY")}
    prefix = f"atlasflow-test-{key[:8]}"
    place = {name: os.environ[f"{REAL}{variable}"] for name, variable in OBS.items()}
    obs = ObsSettings(**place, **keys, prefix=prefix)
    chosen = {name.lower(): value for name, value in named.items()}
    project = os.environ.get(f"{REAL}PROJECT_ID", "")
    settings = ModelArtsSettings(**chosen, **keys, project_id=project, auto_stop_hours=1, jobs_at_once=50)
    store, client = connect_obs(obs), connect(settings, obs, emulated=False)
    intents = folder / "intents"
    trainer = ModelArtsTrainer(lambda: client, lambda: store, settings, prefix, intents, emulated=False)
    try:
        yield trainer, store
    finally:
        for job in trainer.jobs():
            if key[:24] in job.name:
                client.delete(job.id)
        store.delete([key for key, _ in store.list(f"{prefix}/")])
        client.close()


OBS = {"endpoint": "OBS_ENDPOINT", "region": "REGION", "bucket": "BUCKET"}


@pytest.fixture
def trainer(world):
    return world[0]


@pytest.fixture
def job(tmp_path, world, key, fake_main):
    data = doubles.small_data(tmp_path / "data")
    (tmp_path / "work").mkdir()
    prefix = f"atlasflow-test-{key[:8]}"
    data_address, code_address = (
        upload(world[1], f"{prefix}/{name}", folder) for name, folder in (("data", data), ("models", fake_main.parent))
    )
    return TrainJob(key, data, {"epochs": 2}, tmp_path / "work", data_address, code_address)


def upload(store, prefix, folder):
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    sent = {name: LocalFile(path, file_digest(path), path.stat().st_size) for name, path in files.items()}
    store.sync(prefix, sent)
    return f"obs://{store.bucket}/{prefix}/"


def epochs(lines):
    events = filter(None, map(protocol.event, lines))
    return [event["epoch"] for event in events if event["event"] == "epoch"]


def test_results_are_whole_and_lines_arrive(trainer, job):
    lines = []
    trainer.train(job, lines.append)
    assert epochs(lines) == [1, 2]
    assert json.loads((job.folder / "history.json").read_text()) == {"epochs": 2}
    assert "data_batch_1.bin" in (job.folder / "epoch-2.ckpt").read_text()


def test_a_second_call_repeats_nothing(trainer, job):
    trainer.train(job, lambda line: None)
    lines = []
    trainer.train(job, lines.append)
    assert epochs(lines) in ([], [1, 2])  # a remote job's log may be shown again
    assert json.loads((job.folder / "history.json").read_text()) == {"epochs": 2}


def test_training_that_broke_goes_on(trainer, job):
    with pytest.raises(Transient):
        trainer.train(replace(job, spec={"epochs": 3, "break_after": 1}), lambda line: None)
    lines = []
    trainer.train(replace(job, spec={"epochs": 3}), lines.append)
    assert epochs(lines)[-2:] == [2, 3]
    assert (job.folder / "history.json").exists()


def test_the_program_s_own_words_reach_the_person(trainer, job):
    error = {"kind": "user", "message": "recipe.epochs must be positive", "hint": "set train.epochs"}
    with pytest.raises(UserError, match=r"recipe\.epochs must be positive") as caught:
        trainer.train(replace(job, spec={"epochs": 0, "error": error, "exit": 2}), lambda line: None)
    assert "set train.epochs" in caught.value.hint


def test_a_checkpoint_to_start_from_reaches_the_program(trainer, job, tmp_path):
    path = tmp_path / "start.ckpt"
    path.write_text("weights")
    trainer.train(replace(job, pretrained=LocalFile(path, file_digest(path), 7)), lambda line: None)
    assert json.loads((job.folder / "pretrained.json").read_text()) == {"start": "weights"}


def test_the_producer_stays_the_same(trainer):
    assert trainer.producer() == trainer.producer()
    assert trainer.producer().version


@pytest.fixture
def real_job(tmp_path, store):
    """A training of two epochs by the real models/main.py, on a few pictures of noise."""
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
def test_every_trainer_makes_the_same_bytes(real_job, store, tmp_path):
    local, remote = real_job("cd" * 32, "local"), real_job("ef" * 32, "remote")
    LocalTrainer().train(local, lambda line: None)
    lines = []
    with doubles.stand_in(tmp_path / "platform", store) as (_, settings), doubles.client_for(settings) as client:
        doubles.trainer_for(client, store, settings, tmp_path).train(remote, lines.append)
    assert epochs(lines) == [1, 2]
    for name in ("checkpoint.ckpt", "result.json", "train.log"):
        assert (remote.folder / name).is_file()
    assert (local.folder / "checkpoint.ckpt").read_bytes() == (remote.folder / "checkpoint.ckpt").read_bytes()
    assert json.loads((local.folder / "result.json").read_text()) == json.loads(
        (remote.folder / "result.json").read_text()
    )


@pytest.mark.mindspore
def test_mindspore_goes_on_in_a_second_job_with_the_same_bytes(real_job, store, tmp_path):
    whole, broken = real_job("cd" * 32, "whole"), real_job("ef" * 32, "broken")
    LocalTrainer().train(whole, lambda line: None)

    def stop(line):
        if epochs([line]) == [1]:
            platform.stop(platform.book.all()[-1])

    lines = []
    with doubles.stand_in(tmp_path / "platform", store) as (platform, settings), doubles.client_for(settings) as client:
        trainer = doubles.trainer_for(client, store, settings, tmp_path)
        with pytest.raises(Refused, match="stopped on the platform"):
            trainer.train(broken, stop)
        trainer.train(broken, lines.append)
    assert any("resumed after epoch" in line for line in lines)
    assert (whole.folder / "checkpoint.ckpt").read_bytes() == (broken.folder / "checkpoint.ckpt").read_bytes()
