"""Looking at another training's checkpoint: its network, today's data, and `latest/` untouched."""

from types import SimpleNamespace

import pytest

from infra.errors import UserError
from infra.settings import load
from infra.store.receipts import Receipt
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.engine.stage import Stage, StageOutput
from tasks.retrain import checkpoints
from tasks.specs import network_settings, recipe_settings


def stage(name, needs, settings=lambda _: {}, output="out"):
    def run(work):
        made = work.folder / f"{name}.txt"
        made.write_text(
            f"{name} of {sorted(artifact.sha256 for artifact in work.inputs.values())} {settings(work.settings)}"
        )
        return StageOutput({output: made})

    return Stage(name, "pure", run, needs=needs, settings=settings)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Small stages under the real names, in a home of their own."""
    monkeypatch.setattr("tasks.engine.keys.closure", lambda modules, checkout: {})
    needs = {"data": ("download", "data")}
    download = stage("download", {}, output="data")
    train = stage("train", needs, recipe_settings, "checkpoint")
    evaluate = stage("evaluate", {**needs, "checkpoint": ("train", "checkpoint")}, network_settings)
    monkeypatch.setattr(checkpoints, "STAGES", (download, train, evaluate))
    monkeypatch.setattr(checkpoints.download, "STAGE", download)

    def chain(**overrides):
        settings = load(overrides={name.replace("_", ".", 1): value for name, value in overrides.items()})
        return Chain((download, train, evaluate), settings, tmp_path, SimpleNamespace(), Silent())

    return chain


def trained_once(place, **overrides):
    chain = place(**overrides)
    for each in chain.stages.values():
        chain.run(each)
    return chain


def test_a_checkpoint_of_another_recipe_is_evaluated_as_what_it_is(place, tmp_path):
    champion = trained_once(place, train_recipe="resnet20-paper")
    today = trained_once(place, train_recipe="lenet5-sample")
    latest = (tmp_path / "latest" / "evaluate" / "evaluate.txt").read_bytes()
    digest = champion.known["train"].outputs["checkpoint"].sha256
    other = checkpoints.about(today, checkpoints.trained(today, digest))
    result = other.run(other.stages["evaluate"], force=True)
    assert result.receipt.key == champion.known["evaluate"].key
    assert result.receipt.ingredients["settings"]["network"] == "resnet20"
    assert recipe_settings(other.settings) == champion.known["train"].ingredients["settings"]
    assert other.run(other.stages["evaluate"]).reused
    assert (tmp_path / "latest" / "evaluate" / "evaluate.txt").read_bytes() == latest
    assert today.known["train"].key != other.known["train"].key


def test_the_newest_training_of_a_checkpoint_is_found(place):
    chain = trained_once(place)
    real = chain.known["train"]
    chain.receipts.save(Receipt("train", "f" * 64, {}, real.outputs, started=real.finished + 10))
    assert checkpoints.trained(chain, real.outputs["checkpoint"].sha256).key == "f" * 64
    with pytest.raises(UserError, match="no training here made the checkpoint abcdefabcdef"):
        checkpoints.trained(chain, "abcdef" * 10 + "abcd")


def test_without_data_there_is_nothing_to_compare_on(place):
    receipt = Receipt("train", "a" * 64, {"settings": {"network": "lenet5"}}, {})
    with pytest.raises(UserError, match="the data set is not there: never ran"):
        checkpoints.about(place(), receipt)
