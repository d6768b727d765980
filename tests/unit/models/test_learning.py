"""Every recipe learns from the images that ship, in each way in which a machine without an accelerator can train.

Without the environment variable `ATLASFLOW_TEST_LONG`, each recipe is trained in one way, and ResNet50 for its first
steps alone, in which its gradients are largest. With it, each is trained in every way, and ResNet50 by its schedule.
"""

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest

from models.data.records import RECORD_BYTES
from models.kernels import build as kernels
from models.spec.recipes import RECIPES, resolve, to_json
from tests.unit.models.calls import msrun

LONG = "ATLASFLOW_TEST_LONG"
SAMPLE = Path(__file__).parents[3] / "data" / "cifar10-sample.tar.gz"
WAYS = ("kernels", "stock", "pynative", "two processes")


@dataclass(frozen=True)
class Lesson:
    """How far a recipe is trained, and what it must have learnt then.

    Attributes:
        images: of each of the six files; all of them by default.
        changes: of the recipe, so that few images make enough steps.
        epochs: in place of the recipe's.
        loss: above the mean training loss of the last epoch; guessing is 2.303.
        accuracy: below that on the 1,000 test images; guessing is 0.1.
    """

    loss: float
    accuracy: float
    epochs: int = 1
    images: int = 1000
    changes: tuple[tuple[str, object], ...] = ()


LESSONS = {
    "lenet5-sample": Lesson(epochs=2, loss=2.0, accuracy=0.28),
    "lenet5-tutorial": Lesson(epochs=2, loss=2.0, accuracy=0.28),
    "quick": Lesson(loss=2.0, accuracy=0.35),
    "compact": Lesson(epochs=2, loss=1.8, accuracy=0.3),
    "resnet20-paper": Lesson(loss=2.25, accuracy=0.15),
    "fast94": Lesson(epochs=2, images=400, loss=2.0, accuracy=0.3, changes=(("batch_size", 128), ("width", 0.5))),
    # The first steps: a gradient that grows from block to block shows in them as a loss of 5 to 10.
    "resnet50-tutorial": Lesson(images=40, loss=4.0, accuracy=0.0),
    "resnet50-board": Lesson(images=40, loss=4.0, accuracy=0.0),
}
SHORT = {
    ("lenet5-sample", "kernels"),
    ("lenet5-tutorial", "stock"),
    ("quick", "kernels"),
    ("compact", "kernels"),
    ("resnet20-paper", "kernels"),
    ("resnet50-tutorial", "kernels"),
    ("fast94", "kernels"),
}

pytestmark = [pytest.mark.mindspore, pytest.mark.slow, pytest.mark.timeout(7200)]
long = pytest.mark.skipif(not os.environ.get(LONG), reason=f"takes long; set {LONG}=1")


def cases() -> Iterator[Any]:
    for recipe in LESSONS:
        for way in WAYS:
            marks = () if (recipe, way) in SHORT else (long,)
            yield pytest.param(recipe, way, marks=marks, id=f"{recipe}, {way}")


@pytest.fixture
def learn(run: Any, tmp_path: Path) -> Any:
    """Trains a recipe; gives the mean loss of each epoch, and the result."""

    def trained(recipe: Any, lesson: Any, way: Any) -> Any:
        data, out = tmp_path / "data", tmp_path / "out"
        unpack(data, lesson.images)
        mode = {"mode": "pynative"} if way == "pynative" else {}
        spec = to_json(
            resolve(recipe, {"epochs": lesson.epochs, **shortened(recipe, lesson), **mode, **dict(lesson.changes)})
        )
        arguments = ("train", "--data_url", data, "--train_url", out, "--spec", spec)
        if way == "two processes":
            done = msrun(tmp_path / "logs", *arguments, seconds=7200)
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            environment = {} if way == "kernels" else {kernels.SWITCH: "off"}
            done = run(*arguments, environment=environment, seconds=7200)
            assert done.code == 0, done.errors
        losses = [json.loads(line)["loss"] for line in (out / "history.jsonl").read_text().splitlines()]
        result = json.loads((out / "result.json").read_text())
        assert result["compiled_kernels"] == (way == "kernels" and kernels.library() is not None)
        return losses, result

    return trained


def shortened(recipe: Any, lesson: Any) -> Any:
    """The first epochs of a recipe whose warm-up, or whose first milestone, lies beyond them."""
    spec = RECIPES[recipe]
    if spec.warmup_epochs >= lesson.epochs and spec.warmup_epochs:
        return {"warmup_epochs": 0, "schedule": "constant", "learning_rate": spec.warmup_rate}
    return {"schedule": "constant", "milestones": ()} if spec.milestones else {}


def unpack(folder: Any, images: Any) -> None:
    with tarfile.open(SAMPLE) as archive:
        for member in filter(tarfile.TarInfo.isreg, archive):
            content = cast(IO[bytes], archive.extractfile(member)).read()
            name = Path(member.name).name
            test = name.startswith("test")
            target = folder / ("eval" if test else "train") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content[: images * RECORD_BYTES])


def test_every_recipe_has_a_lesson() -> None:
    assert {*LESSONS, "transfer"} == set(RECIPES)  # that one starts from a checkpoint; see below
    assert {recipe for recipe, _ in SHORT} == set(LESSONS) - {"resnet50-board"}  # 49 times as many pixels


@pytest.mark.parametrize(("recipe", "way"), list(cases()))
def test_a_recipe_learns(learn: Any, recipe: Any, way: Any) -> None:
    lesson = LESSONS[recipe]
    losses, result = learn(recipe, lesson, way)
    print(f"{recipe}, {way}: losses {losses}, accuracy {result['accuracy']}")
    assert losses[-1] < lesson.loss
    assert result["accuracy"] > lesson.accuracy


@long
def test_few_pictures_are_learnt_better_from_a_checkpoint_of_other_classes(run: Any, tmp_path: Path) -> None:
    """A body that knows every second class, and 20 pictures of each of the others."""
    unpack(tmp_path / "whole", 1000)
    body, few = ((tmp_path / name, first) for name, first in (("body", 0), ("few", 1)))
    for (folder, first), most in ((body, None), (few, 20)):
        for part, count in (("train", most), ("eval", None)):
            paths = sorted((tmp_path / "whole" / part).iterdir())
            records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, RECORD_BYTES) for path in paths])
            chosen = [records[records[:, 0] == first + 2 * number][:count] for number in range(5)]
            for number, rows in enumerate(chosen):
                rows[:, 0] = number
            name = {"train": "data_batch_1.bin", "eval": "test_batch.bin"}[part]
            (folder / part).mkdir(parents=True)
            (folder / part / name).write_bytes(np.concatenate(chosen).tobytes())

    def accuracy(name: str, data: Path, spec: Any, *more: Any) -> float:
        out = tmp_path / name
        done = run("train", "--data_url", data, "--train_url", out, "--spec", to_json(spec), *more, seconds=7200)
        assert done.code == 0, done.errors
        return float(json.loads((out / "result.json").read_text())["accuracy"])

    known = resolve("compact", {"epochs": 12, "classes": 5, "batch_size": 64, "evaluate_every": 12})
    accuracy("base", body[0], known)
    start = ("--pretrain_url", tmp_path / "base" / "checkpoint.ckpt")
    transfer = resolve("transfer", {"classes": 5})
    scratch = resolve("transfer", {"classes": 5, "freeze_epochs": 0, "body_rate": 1, "new_head": False})
    gained, alone = accuracy("transfer", few[0], transfer, *start), accuracy("scratch", few[0], scratch)
    print(f"20 pictures of each of five classes: {alone:.3f} from nothing, {gained:.3f} from a checkpoint")
    assert gained > alone + 0.05


@long
def test_resnet50_learns_by_the_tutorial_s_whole_schedule(learn: Any) -> None:
    """Warm-up to the highest rate and all the way down."""
    lesson = Lesson(epochs=6, loss=2.1, accuracy=0.2)
    losses, result = learn("resnet50-tutorial", lesson, "kernels")
    print(f"resnet50-tutorial: losses {losses}, accuracy {result['accuracy']}")
    assert losses[-1] < min(lesson.loss, losses[0] - 0.5)
    assert result["accuracy"] > lesson.accuracy
