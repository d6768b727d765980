"""Looking at another training's checkpoint: its network, today's data, and `latest/` untouched."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import UserError
from infra.settings import Settings, load
from infra.store.receipts import Receipt
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.retrain import checkpoints
from tasks.specs import network_settings, recipe_settings


def stage(
    name: str,
    needs: Mapping[str, tuple[str, str]],
    settings: Callable[[Settings], Mapping[str, Any]] = lambda _: {},
    output: str = "out",
) -> Stage:
    def run(work: StageContext) -> StageOutput:
        made = work.folder / f"{name}.txt"
        made.write_text(
            f"{name} of {sorted(artifact.sha256 for artifact in work.inputs.values())} {settings(work.settings)}"
        )
        return StageOutput({output: made})

    return Stage(name, "pure", run, needs=needs, settings=settings)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Chain]:
    """Small stages under the real names, in a home of their own."""
    monkeypatch.setattr("tasks.engine.keys.closure", lambda modules, checkout: {})
    needs: dict[str, tuple[str, str]] = {"data": ("download", "data")}
    download = stage("download", {}, output="data")
    train = stage("train", needs, recipe_settings, "checkpoint")
    evaluate = stage("evaluate", {**needs, "checkpoint": ("train", "checkpoint")}, network_settings)
    monkeypatch.setattr(checkpoints, "STAGES", (download, train, evaluate))
    monkeypatch.setattr("tasks.stages.download.STAGE", download)

    world: Any = SimpleNamespace()

    def chain(**overrides: str) -> Chain:
        settings = load(overrides={name.replace("_", ".", 1): value for name, value in overrides.items()})
        return Chain((download, train, evaluate), settings, tmp_path, world, Silent())

    return chain


def trained_once(place: Callable[..., Chain], **overrides: str) -> Chain:
    chain = place(**overrides)
    for each in chain.stages.values():
        chain.run(each)
    return chain


def test_a_checkpoint_of_another_recipe_is_evaluated_as_what_it_is(place: Callable[..., Chain], tmp_path: Path) -> None:
    champion = trained_once(place, train_recipe="resnet20-paper")
    today = trained_once(place, train_recipe="lenet5-sample")
    latest = (tmp_path / "latest" / "evaluate" / "evaluate.txt").read_bytes()
    other = checkpoints.chain_with_training(today, champion.known["train"])
    result = other.run(other.stages["evaluate"], force=True)
    assert result.receipt.key == champion.known["evaluate"].key
    assert result.receipt.ingredients["settings"]["network"] == "resnet20"
    assert recipe_settings(other.settings) == champion.known["train"].ingredients["settings"]
    assert other.run(other.stages["evaluate"]).reused
    assert (tmp_path / "latest" / "evaluate" / "evaluate.txt").read_bytes() == latest
    assert today.known["train"].key != other.known["train"].key


def test_without_data_there_is_nothing_to_compare_on(place: Callable[..., Chain]) -> None:
    receipt = Receipt("train", "a" * 64, {"settings": {"network": "lenet5"}}, {})
    with pytest.raises(UserError, match="the data set is missing: never ran"):
        checkpoints.chain_with_training(place(), receipt)
