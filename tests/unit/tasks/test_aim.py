from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import AtlasFlowError
from infra.services import Services
from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt, Receipts
from infra.store.runs import Runs, StageRecord
from infra.tracking import repository
from tasks import aim
from tasks.engine.reporter import Silent

KEY = "cd" * 32


class Lines(list[str], Silent):
    def line(self, stage: str, text: str) -> None:
        self.append(f"{stage}: {text}")


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    """A home with one training."""
    home = tmp_path / "home"
    store = ArtifactStore(home)
    outputs = {}
    for output, name in (("checkpoint", "checkpoint.ckpt"), ("history", "history.csv"), ("steps", "steps.csv")):
        (tmp_path / name).write_text(name)
        outputs[output] = store.put_file(name, tmp_path / name, "text/plain")
    ingredients = {
        "settings": {"network": "lenet5", "epochs": 3},
        "inputs": {"data": "12" * 32},
        "producer": {"name": "modelarts", "version": "MindSpore", "emulated": False, "details": {}},
    }
    receipt = Receipt("train", KEY, ingredients, outputs, started=1_700_000_000.0, seconds=12.5)
    Receipts(home).save(receipt)
    world = SimpleNamespace(services=Services(home))
    return SimpleNamespace(
        settings=load(), home=home, store=store, receipts=Receipts(home), world=world, known={"train": receipt}
    )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, chain: Any) -> Any:
    """The trainings that Aim was given; they are there from then on."""
    given = []

    def write(home: Any, training: Any) -> None:
        given.append(training)
        (home / "tracking").mkdir(exist_ok=True)
        (home / "tracking" / f"{training.key}.json").write_text('{"run": "0123", "whole": true}')

    monkeypatch.setattr(repository, "installed", lambda: True)
    monkeypatch.setattr(repository, "write", write)
    return given


def test_a_training_is_named_by_recipe_and_accuracy(chain: Any, written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"accuracy": "0.25"}, {"accuracy": "0.5"}, {"accuracy": ""}]
    monkeypatch.setattr(aim, "rows_of", lambda *_: rows)
    chain.known.clear()
    record = Runs(chain.home).begin("local")
    record.settings = {"train.recipe": "lenet5-sample"}
    record.stages = [StageRecord("train", KEY, "ran", "", 1.0)]
    Runs(chain.home).save(record)
    aim.track_all(chain, Lines())
    assert [training.name for training in written] == ["lenet5-sample 50.0 % cdcdcdcd"]


def test_a_training_is_told_once_in_the_words_of_its_receipt(chain: Any, written: Any) -> None:
    lines = Lines()
    recipe = chain.settings.train.recipe
    for _ in range(2):
        aim.track(chain, chain.known["train"], lines)
    [training] = written
    assert (training.key, training.experiment, training.name) == (KEY, "lenet5", f"{recipe} cdcdcdcd")
    assert (training.started, training.seconds) == (1_700_000_000.0, 12.5)
    assert training.parameters["hparams"] == {"network": "lenet5", "epochs": 3}
    assert training.parameters["training"] == {
        "key": KEY,
        "data": "12" * 32,
        "checkpoint": chain.known["train"].outputs["checkpoint"].sha256,
        "producer": "modelarts",
        "version": "MindSpore",
        "emulated": False,
        "started": "2023-11-14T22:13:20+00:00",
        "seconds": 12.5,
        "signs": [],
    }
    assert (training.history.read_text(), training.steps.read_text()) == ("history.csv", "steps.csv")
    assert lines == []
    page = aim.page(chain)
    assert page is not None
    assert page.endswith("/runs/0123")


def test_all_trainings_of_a_home_can_be_told_later(chain: Any, written: Any) -> None:
    older = Receipt("train", "ef" * 32, {}, {})  # of a version that kept no steps
    chain.receipts.save(older)
    assert aim.track_all(chain, Lines()) == 1
    assert [training.key for training in written] == [KEY]


def test_without_aim_one_line_says_what_is_missing(chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "installed", lambda: False)
    lines = Lines()
    aim.track(chain, chain.known["train"], lines)
    assert lines == [f"train: not tracked: Aim is not installed; {repository.HOW}"]
    assert not (chain.home / "tracking").exists()
    assert aim.page(chain) is None


def test_switched_off_nothing_is_written_or_said(chain: Any, written: Any) -> None:
    chain.settings = load(overrides={"tracking.enabled": "false"})
    lines = Lines()
    aim.track(chain, chain.known["train"], lines)
    assert written == lines == []


def test_trouble_with_aim_is_said_and_fails_nothing(chain: Any, written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(home: Any, training: Any) -> None:
        raise AtlasFlowError("Aim cannot write the training: no space left")

    monkeypatch.setattr(repository, "write", write)
    lines = Lines()
    aim.track(chain, chain.known["train"], lines)
    assert lines == ["train: not tracked: Aim cannot write the training: no space left; `atlasflow aim` tries again"]


def test_without_a_training_there_is_no_page(chain: Any) -> None:
    chain.known.clear()
    assert aim.page(chain) is None
