"""From receipts to a champion and back, on a store whose receipts are made by hand."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infra.champions import Metrics, Registry
from infra.errors import Corrupt, Refused, UserError
from infra.fleet import Fleet
from infra.settings import load
from infra.store.digests import value_digest
from infra.store.mirror import Mirror
from infra.store.receipts import Receipt
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.retrain.champions import (
    champion_of,
    demote_release,
    demotion_target,
    emulated_stages,
    registry_of,
    release_folder,
    training_receipt,
)
from tasks.retrain.evaluation import compare_chains
from tests.unit.infra.champions import champion
from tests.unit.infra.store.test_mirror import FolderStore

SPEC = {"network": "lenet5", "seed": 1}
CODE = {"models/spec/recipes.py": "a" * 64}
METRICS = {"accuracy": 0.5, "accuracy_interval_95": [0.4, 0.6], "images": 4, "loss": 1.5, "per_class": []}


def put(
    chain: Chain, stage: str, key: str, files: Mapping[str, Any], *, emulated: bool = False, **ingredients: Any
) -> Receipt:
    """A receipt whose outputs are these files: bytes, or a folder by a dictionary of names."""
    outputs = {}
    for name, content in files.items():
        path = chain.home / "made" / name
        if isinstance(content, dict):
            for inner, text in content.items():
                (path / inner).parent.mkdir(parents=True, exist_ok=True)
                (path / inner).write_text(text)
            outputs[name] = chain.store.put_tree(name, path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            outputs[name] = chain.store.put_file(name, path, "application/octet-stream")
    shutil.rmtree(chain.home / "made")
    values = {"inputs": {"data": "d" * 64}, "settings": {}, "code": CODE, **ingredients}
    receipt = Receipt(stage, key, values, outputs, emulated=emulated)
    chain.receipts.save(receipt)
    chain.known[stage] = receipt
    return receipt


def predictions(folder: Path, *answers: int, label: int = 0) -> bytes:
    """What the stage `evaluate` keeps: logits by which the images are taken for these classes; all are of one class."""
    path = folder / "predictions.npz"
    folder.mkdir(exist_ok=True)
    np.savez(path, logits=np.eye(2, dtype=np.float32)[list(answers)], labels=np.full(len(answers), label, np.int32))
    return path.read_bytes()


def release_of(registry: Registry) -> str | None:
    champion = registry.read().champion
    return champion.release if champion else None


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """A chain that has published release `r`, with a stand-in compiler."""
    found = new_chain(tmp_path / "home")
    put(found, "download", "kd", {"data": {"x": "y"}})
    put(found, "train", "kt", {"checkpoint": b"parameters"}, settings=SPEC)
    answers = {"metrics": json.dumps(METRICS).encode(), "predictions": predictions(tmp_path / "p", 0, 0, 1, 1)}
    put(found, "evaluate", "ke", answers)
    put(found, "convert", "kc", {"om": b"om"}, emulated=True)
    listing = {"id": "r", "bucket": "atlasflow", "prefix": "atlasflow/releases/r"}
    release = {"Ascend310/release.json": json.dumps({"id": "r", "soc_version": "Ascend310", "emulated": True})}
    published = {"published": json.dumps(listing).encode(), "release": release}
    put(found, "publish", "kp", published, emulated=True)
    return found


def new_chain(home: Path, mirror: Mirror | None = None) -> Chain:
    world: Any = SimpleNamespace(mirror=lambda: mirror, leases=lambda: None)
    return Chain([], load(), home, world, Silent())


def test_a_champion_is_what_the_receipts_say(chain: Any) -> None:
    found = champion_of(chain, "Ada", "first")
    trained = chain.known["train"]
    assert (found.release, found.recipe, found.spec) == ("r", "lenet5-sample", SPEC)
    assert (found.checkpoint, found.data) == (trained.outputs["checkpoint"].sha256, "d" * 64)
    assert found.code == value_digest(CODE)
    assert found.metrics == Metrics(0.5, (0.4, 0.6), 4, 1.5)
    assert found.keys == {"download": "kd", "train": "kt", "evaluate": "ke", "convert": "kc", "publish": "kp"}
    assert found.emulated == emulated_stages(chain) == ("convert", "publish")
    assert found.published == "obs://atlasflow/atlasflow/releases/r/"


def test_two_evaluations_are_compared_image_by_image(chain: Any, tmp_path: Path) -> None:
    other = new_chain(tmp_path / "home")
    put(other, "evaluate", "other", {"predictions": predictions(tmp_path / "p", 0, 1, 0, 0)})
    found = compare_chains(chain, other)
    assert (found.only_champion_right, found.only_challenger_right) == (1, 2)
    assert (found.champion_accuracy, found.challenger_accuracy) == (0.5, 0.75)
    assert found.p_value == 1


@pytest.mark.parametrize(("answers", "label"), [((0, 1, 0, 0), 1), ((0, 1, 0), 0)])
def test_evaluations_of_other_images_are_not_compared(chain: Any, tmp_path: Path, answers: Any, label: Any) -> None:
    other = new_chain(tmp_path / "home")
    put(other, "evaluate", "other", {"predictions": predictions(tmp_path / "p", *answers, label=label)})
    with pytest.raises(Refused, match="images with different labels"):
        compare_chains(chain, other)


def test_the_registry_of_a_chain_has_the_world_s_leases(tmp_path: Path) -> None:
    held: list[str] = []

    class Leases:
        @contextmanager
        def hold(self, name: str, waiting: object) -> Iterator[bool]:
            held.append(name)
            yield False

    world: Any = SimpleNamespace(mirror=lambda: None, leases=Leases)
    registry = registry_of(Chain([], load(), tmp_path / "home", world, Silent()))
    registry.promote(champion("a"), ["k"], over="", pending=False)
    assert held == ["atlasflow-registry"]


def test_the_release_is_laid_out_once_and_kept_by_the_fleet(chain: Any) -> None:
    model = champion_of(chain, "Ada", "first")
    folder = release_folder(chain, model)
    assert json.loads((folder / "Ascend310" / "release.json").read_text())["id"] == "r"
    assert set(Fleet(chain.home).release("r")) == {"Ascend310"}
    chain.receipts.path("publish", "kp").unlink()
    assert release_folder(chain, model) == folder, "the fleet has it"


def test_a_missing_receipt_is_named_with_the_address_of_the_release(chain: Any) -> None:
    model = champion_of(chain, "Ada", "first")
    for stage, look in (("train", training_receipt), ("publish", release_folder)):
        chain.receipts.path(stage, model.keys[stage]).unlink()
        with pytest.raises(UserError, match=f"receipt of {stage} k. of release r") as error:
            look(chain, model)
        assert "obs://atlasflow/atlasflow/releases/r/" in error.value.hint


def test_damaged_bytes_are_not_taken_for_the_champion_s(chain: Any) -> None:
    model = champion_of(chain, "Ada", "first")
    path = chain.store.path(chain.known["train"].outputs["checkpoint"])
    path.chmod(0o644)
    path.write_bytes(b"Parameters")
    with pytest.raises(Corrupt):
        training_receipt(chain, model)


def test_another_machine_fetches_the_champion_s_training_from_the_mirror(chain: Any, tmp_path: Path) -> None:
    bucket: Any = FolderStore(tmp_path / "bucket")
    mirror = Mirror(lambda: bucket, "team")
    mirror.send(chain.known["train"], chain.receipts, chain.store)
    other = new_chain(tmp_path / "other", mirror)
    receipt = training_receipt(other, champion_of(chain, "Ada", "first"))
    assert other.store.path(receipt.outputs["checkpoint"]).read_bytes() == b"parameters"


def test_a_demotion_goes_back_to_a_former_champion_that_is_here(chain: Any) -> None:
    registry = registry_of(chain)
    with pytest.raises(UserError, match="no champion"):
        demotion_target(chain, registry.read(), "")
    registry.promote(champion_of(chain, "Ada", "first"), ["kt"], over="", pending=False)
    with pytest.raises(UserError, match="release r has no predecessor"):
        demotion_target(chain, registry.read(), "")
    registry.promote(champion("s"), ["k2"], over="r", pending=False)
    assert demotion_target(chain, registry.read(), "").release == "r"
    assert demotion_target(chain, registry.read(), "r").release == "r"
    for wrong in ("s", "z"):
        with pytest.raises(UserError, match=f"release {wrong} is not a former champion") as error:
            demotion_target(chain, registry.read(), wrong)
        assert "former champions: r" in error.value.hint
    chain.receipts.path("train", "kt").unlink()
    with pytest.raises(UserError, match="is gone"):
        demotion_target(chain, registry.read(), "r")


def test_a_fleet_that_gives_the_champion_up_demotes_it(tmp_path: Path) -> None:
    chain = new_chain(tmp_path / "home")
    registry = Registry(chain.home)
    assert demote_release(chain, "a", "rollout 1", "stopped") is None
    registry.promote(champion("a"), ["k"], over="", pending=False)
    registry.promote(champion("b"), ["l"], over="a", pending=True)
    assert demote_release(chain, "a", "rollout 1", "stopped") is None
    assert release_of(registry) == "b"
    demoted = demote_release(chain, "b", "rollout 2", "stopped")
    assert demoted
    assert demoted.release == "b"
    state = registry.read()
    assert (release_of(registry), state.pending) == ("a", False)
    assert (state.history[-1].who, state.history[-1].why) == ("rollout 2", "stopped")
