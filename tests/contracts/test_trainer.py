"""What every Trainer keeps to, wherever it trains. A trainer with MindSpore in it is marked `mindspore`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import Transient, UserError
from infra.ports import TrainJob
from infra.training import protocol
from infra.training.local import LocalTrainer

FAKE_MAIN = Path(__file__).parents[1] / "unit" / "infra" / "training" / "fake_main.py"


@pytest.fixture
def fake_main(tmp_path):
    path = tmp_path / "checkout" / "models" / "main.py"
    path.parent.mkdir(parents=True)
    shutil.copy(FAKE_MAIN, path)
    return path


@pytest.fixture(params=["local"])
def trainer(request, fake_main):
    return LocalTrainer(fake_main)


@pytest.fixture
def job(tmp_path):
    for name in ("train/data_batch_1.bin", "eval/test_batch.bin", "batches.meta.txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "work").mkdir()
    return TrainJob("ab" * 32, tmp_path / "data", {"epochs": 2}, tmp_path / "work")


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


def test_the_producer_stays_the_same(trainer):
    assert trainer.producer() == trainer.producer()
    assert trainer.producer().version
