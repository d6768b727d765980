from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.errors import UserError
from infra.ports.values import Producer
from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.world import World
from tasks.engine.keys import Inputs, emulated, ingredients, inputs, sources
from tasks.engine.stage import Stage, StageContext, StageOutput


def run(work: StageContext) -> StageOutput:
    raise AssertionError


WORLD = cast("World", SimpleNamespace())
NEEDS = {"model": ("export", "onnx"), "data": ("download", "data")}


def stage(**changes: Any) -> Any:
    return Stage("convert", "pure", run, needs=NEEDS, **changes)


def test_what_comes_from_outside_is_needed_of_no_stage() -> None:
    assert sources(stage(), load()) == ["export", "download"]
    assert sources(stage(external_inputs=lambda _settings: {"model": None}), load()) == ["download"]


def test_what_is_needed_may_depend_on_the_settings() -> None:
    chosen = Stage(
        "convert",
        "pure",
        run,
        needs=lambda settings: {"model": (f"export{settings.train.overrides()['epochs']}", "onnx")},
    )
    assert sources(chosen, load("local", {"train.epochs": "3"})) == ["export3"]


def test_a_file_and_a_folder_from_outside_are_inputs(tmp_path: Path) -> None:
    model, data = tmp_path / "a.onnx", tmp_path / "data"
    model.write_bytes(b"model")
    (data / "one").mkdir(parents=True)
    (data / "one" / "a.bin").write_bytes(b"12345")
    found = inputs(
        stage(external_inputs=lambda _settings: {"model": model, "data": data}),
        load(),
        {},
        ArtifactStore(tmp_path / "home"),
    )
    assert {name: (item.kind, item.size) for name, item in found.artifacts.items()} == {
        "model": ("file", 5),
        "data": ("tree", 5),
    }
    assert list(found.files["data"]) == ["one/a.bin"]
    assert not found.emulated


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(UserError, match=r"absent does not exist") as caught:
        inputs(stage(external_inputs=lambda _settings: {"model": absent}), load(), {}, ArtifactStore(tmp_path))
    assert caught.value.hint == "the settings name it as model"


@pytest.mark.parametrize(
    ("by_input", "by_producer", "whole"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_stand_in_among_inputs_or_producers_counts(by_input: bool, by_producer: bool, whole: bool) -> None:
    made_by = Producer("atc", "1", emulated=by_producer)
    found = ingredients(stage(producer=lambda _world: made_by), load(), WORLD, Inputs({}, {}, by_input))
    assert found["producer"]["emulated"] is by_producer
    assert emulated(found) is whole


def test_without_a_producer_the_inputs_decide() -> None:
    found = ingredients(stage(), load(), WORLD, Inputs({}, {}, emulated=False))
    assert found["producer"] is None
    assert not emulated(found)
