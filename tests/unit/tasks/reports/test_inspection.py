import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.errors import UserError
from infra.settings import load
from infra.store.artifacts import ArtifactStore
from infra.store.receipts import Receipt
from models.training.history import COLUMNS
from tasks.reports import inspection
from tasks.reports.costs import Array, Layer, Network
from tests.cifar10 import CLASSES
from tests.unit.tasks.doubles import data_tree

LAYER = {"name": "fc", "kind": "Dense", "shape": [1, 10], "parameters": 850, "multiply_adds": 840}
ARRAY = {"name": "fc.weight", "shape": [10, 84], "size": 840}
NETWORK = {"network": "resnet50", "layers": [LAYER], "parameters": 850, "multiply_adds": 840, "arrays": [ARRAY]}
TIMES = {"mean": 0.9, "median": 0.85, "p10": 0.8, "p90": 1.0, "p99": 1.5, "pinned": True}
COSTS = {
    "layers": [LAYER],
    "parameters": 850,
    "multiply_adds": 840,
    "size_mb": 0.25,
    "latency_ms": TIMES,
    "accuracy": 0.66,
    "images": 10_000,
    "score": 32.78,
}
STEP = {
    "network": "lenet5",
    "batch_size": 32,
    "compiled_kernels": False,
    "step_ms": 9.0,
    "batch_ms": 1.0,
    "gradients": [{"kind": "MatMul", "ms": 0.5}],
    "loss_ms": 0.25,
    "update_ms": 0.125,
    "other_ms": 0.0,
    "layers": [{"name": "fc", "forward_ms": 1.0, "backward_ms": 2.0}],
}
RATES = {
    "steps": [{"learning_rate": 0.01, "loss": 2.3}, {"learning_rate": 0.1, "loss": 1.5}],
    "steepest": 0.1,
    "cautious": 0.01,
}
ANSWERS: dict[str, tuple[str, object]] = {
    "describe": ("network.json", NETWORK),
    "profile": ("profile.json", COSTS),
    "step": ("step.json", STEP),
    "rates": ("rates.json", RATES),
}


class World:
    """Runs no model, but remembers what it was asked and writes the answer."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def models(self) -> Any:
        return self

    def run(self, command: Any, arguments: Any, log: Any) -> None:
        self.asked.append((command, arguments))
        name, result = ANSWERS[command]
        (log.parent / name).write_text(json.dumps(result))


@pytest.fixture
def chain_of(tmp_path: Path) -> Any:
    """Makes a chain that knows a data set of 30 images a file, a training and an export, under given settings."""

    def make(**settings: Any) -> Any:
        store = ArtifactStore(tmp_path / "home")
        tree = tmp_path / "cifar10"
        for name, content in {**data_tree(), "train/data_batch_1.bin": data_tree(64)["eval/test_batch.bin"]}.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        rows = [dict.fromkeys(COLUMNS, "") | {"epoch": "1", "loss": "2.0"}]
        rows += [dict.fromkeys(COLUMNS, "0.5") | {"epoch": "2", "loss": "1.5"}]
        with (tmp_path / "history.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        for name in ("checkpoint.ckpt", "model.onnx"):
            (tmp_path / name).write_bytes(name.encode())

        def kept(stage: Any, **outputs: Any) -> Any:
            return Receipt(stage, "k", {}, {name: kind(path) for name, (kind, path) in outputs.items()})

        def single(path: Any) -> Any:
            return store.put_file(path.name, path, "application/octet-stream")

        def folder(path: Any) -> Any:
            return store.put_tree(path.name, path)

        known = {
            "download": kept("download", data=(folder, tree)),
            "train": kept(
                "train", history=(single, tmp_path / "history.csv"), checkpoint=(single, tmp_path / "checkpoint.ckpt")
            ),
            "export": kept("export", onnx=(single, tmp_path / "model.onnx")),
        }
        overrides = {f"train.{name}": value for name, value in settings.items()}
        return SimpleNamespace(store=store, settings=load(overrides=overrides), world=World(), known=known)

    return make


def is_picture(path: Any) -> Any:
    with Image.open(path) as picture:
        return picture.format == "PNG"


@pytest.mark.parametrize(("part", "count", "found"), [("train", 9, 9), ("eval", 100, 30)])
def test_samples_are_the_first_images_with_their_labels(
    chain_of: Any, tmp_path: Path, part: str, count: int, found: int
) -> None:
    rows = inspection.samples(chain_of(), part, count, tmp_path / "samples.png")
    assert rows == [(index, CLASSES[index % 10]) for index in range(found)]
    assert is_picture(tmp_path / "samples.png")


def test_schedules_have_the_recipe_s_length_and_the_tutorial_s_formulas(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of(epochs="3", learning_rate="0.1")
    rates, steps = inspection.schedules(chain, ["constant", "square", "cosine"], tmp_path / "rates.png")
    assert steps == 2  # 64 training images, 32 a batch
    assert rates["constant"] == pytest.approx([0.1] * 6)
    assert rates["square"] == pytest.approx([0.1 * (1 - step / 6) ** 2 for step in range(6)])
    assert rates["cosine"] == pytest.approx([0.05 * (1 + np.cos(np.pi * step / 6)) for step in range(6)], abs=1e-8)
    assert is_picture(tmp_path / "rates.png")


def test_without_a_data_set_the_whole_one_is_assumed(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of(epochs="3")
    chain.known.clear()
    rates, steps = inspection.schedules(chain, ["constant"], tmp_path / "rates.png")
    assert (steps, len(rates["constant"])) == (1562, 3 * 1562)


def test_every_schedule_goes_with_every_recipe(chain_of: Any, tmp_path: Path) -> None:
    names = ["constant", "cosine", "square", "exponential", "stage", "one-cycle"]
    for recipe in ("lenet5-tutorial", "resnet50-tutorial", "resnet20-paper", "compact"):
        chain = chain_of(recipe=recipe)
        chain.known.clear()
        rates, _ = inspection.schedules(chain, names, tmp_path / "rates.png")
        assert list(rates) == names
        assert all(rates.values())


def test_a_batch_of_more_than_the_data_set_is_refused(chain_of: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"setting train.batch_size: 65 is more than the 64 training images"):
        inspection.schedules(chain_of(batch_size="65"), ["constant"], tmp_path / "rates.png")
    assert not (tmp_path / "rates.png").exists()


def test_an_unknown_schedule_is_named(chain_of: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cosinus") as caught:
        inspection.schedules(chain_of(), ["cosinus"], tmp_path / "rates.png")
    assert "cosine" in caught.value.hint


def test_the_history_is_that_of_the_training(chain_of: Any, tmp_path: Path) -> None:
    rows = inspection.history(chain_of(), tmp_path / "history.png")
    assert [(row["epoch"], row["loss"], row["accuracy"]) for row in rows] == [("1", "2.0", ""), ("2", "1.5", "0.5")]
    assert is_picture(tmp_path / "history.png")


def test_a_network_is_described_as_the_recipe_has_it(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of(recipe="resnet50-tutorial", stem="3x3", width="0.5")
    assert inspection.network(chain, tmp_path) == Network(
        "resnet50", (Layer("fc", "Dense", (1, 10), 850, 840),), 850, 840, (Array("fc.weight", (10, 84), 840),)
    )
    spec = json.loads(chain.world.asked[0][1]["spec"])
    assert (spec["network"], spec["stem"], spec["width"]) == ("resnet50", "3x3", 0.5)


def test_a_profile_is_of_checkpoint_and_export(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of()
    found = inspection.profile(chain, tmp_path / "with")
    assert json.loads(json.dumps(found.to_json())) == COSTS
    arguments = chain.world.asked[0][1]
    for name, file in (("checkpoint", "checkpoint.ckpt"), ("model", "model.onnx")):
        assert arguments[name].endswith(file)
    del chain.known["export"]
    inspection.profile(chain, tmp_path / "without")
    assert "model" not in chain.world.asked[1][1]


def test_short_trainings_have_the_whole_recipe(chain_of: Any, tmp_path: Path) -> None:
    chain = chain_of(learning_rate="0.25")
    times = inspection.step_times(chain, tmp_path / "step", tmp_path / "step.png")
    assert (times.layers[0].both, times.rest[0], times.rest[-1]) == (3.0, ("MatMul, backward", 0.5), ("batch", 1.0))
    found = inspection.rate_range(chain, tmp_path / "rates", tmp_path / "rates.png")
    assert (found.rates, found.losses, found.steepest) == ((0.01, 0.1), (2.3, 1.5), 0.1)
    for command, arguments in chain.world.asked:
        assert json.loads(arguments["spec"])["learning_rate"] == 0.25, command
        assert arguments["data_url"]
    assert is_picture(tmp_path / "step.png")
    assert is_picture(tmp_path / "rates.png")


@pytest.mark.parametrize(
    ("stage", "show"),
    [
        ("download", lambda chain, folder: inspection.samples(chain, "train", 9, folder / "a.png")),
        ("train", lambda chain, folder: inspection.history(chain, folder / "a.png")),
        ("train", inspection.profile),
    ],
)
def test_what_was_not_made_is_named(chain_of: Any, tmp_path: Path, stage: str, show: Any) -> None:
    chain = chain_of()
    del chain.known[stage]
    with pytest.raises(UserError, match=f"{stage} has no result") as caught:
        show(chain, tmp_path)
    assert stage in caught.value.hint
