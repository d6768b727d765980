"""What `atlasflow show` and `atlasflow profile` show: images, learning rates, histories, layers, costs."""

from __future__ import annotations

import csv
import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infra.errors import UserError
from tasks.reports.costs import Network, TrainedNetwork
from tasks.reports.steps import RateRange, StepTimes
from tasks.specs import network_settings, recipe_settings, train_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.ports.models import ModelCommand
    from infra.store.receipts import Receipt
    from models.spec.train_spec import TrainSpec
    from tasks.engine.chain import Chain

T = TypeVar("T")

FULL = 50_000
"""Training images of the whole data set, for schedules without a data set (docs/reference/tutorials.md T0)."""


def samples(chain: Chain, part: str, count: int, picture: Path) -> list[tuple[int, str]]:
    """Draw the first images of the data set.

    Args:
        chain: has looked at its stages.
        part: `train` or `eval`.
        count: how many images.
        picture: the PNG file.

    Returns:
        Place in the data set and label of each.
    """
    from tasks.reports.image_grid import image_grid

    images, names = _images(chain, part), _class_names(chain)
    chosen = list(range(min(count, len(images))))
    labels = [names[images.labels[index]] for index in chosen]
    title = f"the first {len(chosen)} of {len(images):,} {part} images"
    image_grid(images.pixels[: len(chosen)], labels, picture, title)
    return list(zip(chosen, labels, strict=True))


def schedules(chain: Chain, names: Sequence[str], picture: Path) -> tuple[dict[str, list[float]], int]:
    """Draw the learning rates that a recipe would have with several schedules.

    Args:
        chain: has looked at its stages; without a data set, the size of the whole one is assumed.
        names: of schedules.
        picture: the PNG file.

    Returns:
        Name to one rate a step, and the steps of an epoch.

    Raises:
        UserError: a schedule is unknown or does not go with the recipe, or a batch is more than the data set.
    """
    from tasks.reports.learning_plots import learning_rates

    spec = import_module("models.spec.recipes")
    count = len(_images(chain, "train")) if "download" in chain.known else FULL
    base = train_spec(chain.settings)
    steps = count // base.batch_size
    if not steps:
        raise UserError(
            f"setting train.batch_size: {base.batch_size} is more than the {count:,} training images",
            hint="take a smaller batch",
        )
    rates: dict[str, list[float]] = {}
    for name in names:
        try:
            wanted = spec.load(json.dumps({**recipe_settings(chain.settings), **_schedule_fields(base, name)}))
        except spec.SpecError as error:
            raise UserError(f"schedule {name}: {error.message}", hint=error.hint) from error
        rates[name] = [float(rate) for rate in import_module("models.training.schedules").learning_rates(wanted, steps)]
    learning_rates(rates, steps, picture)
    return rates, steps


def history(chain: Chain, picture: Path) -> list[dict[str, str]]:
    """Draw loss and accuracy of the last training; returns the rows of its history."""
    from tasks.reports.learning_plots import history as draw

    with chain.store.path(_receipt(chain, "train").outputs["history"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    draw(rows, picture)
    return rows


def network(chain: Chain, folder: Path) -> Network:
    """Describe every layer of the recipe's network; runs MindSpore, with its log in `folder`."""
    return _run(chain, "describe", {}, folder / "network.json", Network.from_json)


def profile(chain: Chain, folder: Path) -> TrainedNetwork:
    """Measure the cost of the trained network and its tuning score; also the ONNX file, if it was exported."""
    arguments = {
        "data_url": str(_link(chain, "download", "data", folder / "data")),
        "checkpoint": str(_link(chain, "train", "checkpoint", folder / "train") / "checkpoint.ckpt"),
    }
    exported = chain.known.get("export")
    if exported is not None and "onnx" in exported.outputs:
        name = exported.outputs["onnx"].name
        arguments["model"] = str(_link(chain, "export", "onnx", folder / "export") / name)
    return _run(chain, "profile", arguments, folder / "profile.json", TrainedNetwork.from_json)


def step_times(chain: Chain, folder: Path, picture: Path) -> StepTimes:
    """Measure where the milliseconds of a training step go, and draw them; runs MindSpore, with its log in `folder`."""
    from tasks.reports.learning_plots import step_times as draw

    found = _short_training(chain, "step", folder / "step.json", StepTimes.from_json)
    draw(found, picture)
    return found


def rate_range(chain: Chain, folder: Path, picture: Path) -> RateRange:
    """Train some steps with a rising learning rate, and draw the losses; runs MindSpore, with its log in `folder`."""
    from tasks.reports.learning_plots import rate_range as draw

    found = _short_training(chain, "rates", folder / "rates.json", RateRange.from_json)
    draw(found, picture)
    return found


def _short_training(chain: Chain, command: ModelCommand, result: Path, reader: Callable[[Any], T]) -> T:
    arguments = {"data_url": str(_link(chain, "download", "data", result.parent / "data"))}
    return _run(chain, command, arguments, result, reader, recipe_settings(chain.settings))


def _schedule_fields(base: TrainSpec, name: str) -> dict[str, object]:
    """The schedule, with the other fields that it needs."""
    changes: dict[str, object] = {"schedule": name}
    if name == "stage" and not base.milestones:
        changes["milestones"] = sorted({max(1, base.epochs // 2), max(1, base.epochs * 3 // 4)})
    if name != "stage":
        changes["milestones"] = []
    if name == "one-cycle":
        changes["warmup_epochs"] = 0
    return changes


def _run(
    chain: Chain,
    command: ModelCommand,
    arguments: Mapping[str, str],
    result: Path,
    reader: Callable[[Any], T],
    spec: Mapping[str, object] | None = None,
) -> T:
    """Run a command of `models/main.py` with its log beside `result`, and read that JSON file."""
    text = json.dumps(network_settings(chain.settings) if spec is None else spec, sort_keys=True)
    folder = result.parent
    chain.world.models().run(command, {**arguments, "spec": text, "output": str(folder)}, folder / f"{command}.log")
    return reader(json.loads(result.read_text(encoding="utf-8")))


def _images(chain: Chain, part: str) -> Any:
    """Read the data set with its file names, which the store does not keep."""
    with tempfile.TemporaryDirectory() as folder:
        return import_module("models.data.images").read_images(_link(chain, "download", "data", Path(folder)), part)


def _class_names(chain: Chain) -> Sequence[str]:
    with tempfile.TemporaryDirectory() as folder:
        names: Sequence[str] = import_module("models.data.images").class_names(
            _link(chain, "download", "data", Path(folder))
        )
    return names


def _link(chain: Chain, stage: str, output: str, folder: Path) -> Path:
    return chain.store.link_into(_receipt(chain, stage).outputs[output], folder)


def _receipt(chain: Chain, stage: str) -> Receipt:
    if stage not in chain.known:
        hint = f"`atlasflow run --to {stage}` makes it, with the same --profile and --set"
        raise UserError(f"{stage} has no result for these settings", hint=hint)
    return chain.known[stage]
