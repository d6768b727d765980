"""Train a network: an epoch at a time, a checkpoint after each, and the same bytes however often it was interrupted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np

from ..data.images import Images, read_images
from ..data.pipeline import Pipeline
from ..evaluation.inference import logits, network_forward
from ..failures import InputError, SpecError
from ..files import sha256, write_json
from ..kernels import layers
from ..preprocess import PRESETS
from ..protocol import event, say
from . import ascend, checkpoint, history, resume, scoring, tracing
from .optimizers import build_optimizer
from .pretrained import adopt
from .runtime import Layout, layout, ranks
from .schedules import learning_rates
from .step import MEAN, TrainStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mindspore import nn
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec

_DIVERGED = 20.0  # times the loss of guessing; far above what a training that still learns can show


@dataclass
class _Training:
    """One training in progress."""

    spec: TrainSpec
    step: TrainStep
    judged: nn.Cell
    pipeline: Pipeline
    held_out: Images
    folder: Path
    kernels: bool

    def values(self) -> dict[str, NDArray[Any]]:
        """The result so far: the network's parameters or, when asked for, their running means."""
        found = checkpoint.arrays(self.step.network.get_parameters())
        if not self.spec.ema:
            return found
        means = checkpoint.arrays(self.step.means)
        return {name: means[f"{MEAN}.{name}"] for name in found}

    def remembered(self) -> list[mindspore.Parameter]:
        """Everything that the next step depends on."""
        found = [*self.step.optimizer.get_parameters(), *self.step.network.get_parameters()]
        return [*found, *(self.step.means if self.spec.ema else ())]

    def judge(self) -> NDArray[np.float32]:
        """Logits of the evaluation images."""
        if self.judged is not self.step.network:
            checkpoint.assign(self.judged.get_parameters(), self.values(), self.folder)
        forward = network_forward(self.judged)
        return logits(forward, self.held_out.pixels, self.spec.image_size, self.pipeline.normalisation)


@dataclass(frozen=True)
class Start:
    """A checkpoint to start from.

    Attributes:
        path: `.ckpt` or `.safetensors`.
        known_as: our name of a parameter, from its name in the file.
    """

    path: Path
    known_as: Callable[[str], str]


def train(
    spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, folder: Path, start: Start | None = None
) -> None:
    """Train in `folder`, or go on where a run of the same training was ended.

    Afterwards `folder` holds `checkpoint.ckpt` (the last epoch's), `best.ckpt` (of the epoch with the highest accuracy
    on the evaluation images, the earliest of equals), `history.csv`, `history.jsonl`, `steps.csv` and `result.json`;
    besides `pretrained.json`, what was taken from the checkpoint at the start.

    Raises:
        Failure: data or specification are wrong, this device cannot do it, the loss is no number any more, or the disk
            is full.
    """
    ascend.check_device(spec)
    tracing.choose_mode(spec)
    images = read_images(data, "train", spec.classes)
    held_out = read_images(data, "eval", spec.classes)
    if spec.batch_size > len(images):
        raise SpecError(f"batch_size: {spec.batch_size} is more than the {len(images):,} training images")
    rank, size = ranks()
    if spec.batch_size % size:
        raise SpecError(f"batch_size: {spec.batch_size} cannot be shared by {size} devices", "take a multiple")
    pipeline = _pipeline(spec, images, rank, size)
    network = build(spec)
    rates = learning_rates(spec, pipeline.steps)
    if start is not None:
        report = adopt(network, start.path, start.known_as, new_head=spec.new_head)
        if rank == 0:
            write_json(folder / "pretrained.json", report)
    run = _prepared(spec, build, network, rates, pipeline, held_out, folder)
    inputs = [images.sha256, held_out.sha256, *([] if start is None else [sha256(start.path)])]
    identity = resume.identity(spec, *inputs, *(["compiled kernels"] if run.kernels else []))
    rows = _restore(run, identity)
    first = len(rows) + 1
    with layout(run.kernels) as cores, tracing.stepping(spec, network):
        sunk = ascend.sinking(run.step, pipeline, first, spec.epochs) if spec.sink and first <= spec.epochs else None
        for epoch in range(first, spec.epochs + 1):
            values = _losses(run, epoch) if sunk is None else _sunk_losses(run, sunk)
            row, losses = _train_epoch(run, epoch, cores, values)
            followed = rates[(epoch - 1) * pipeline.steps : epoch * pipeline.steps].tolist()
            row["learning_rate"] = followed[-1]
            if rank == 0:
                _finish_epoch(run, rows, row, identity, (losses, followed))
            else:
                rows.append(row)
            cores.refresh()
    if rank == 0:
        _write_result(run, rows)


def _prepared(
    spec: TrainSpec,
    build: Callable[[TrainSpec], nn.Cell],
    network: nn.Cell,
    rates: NDArray[np.float32],
    pipeline: Pipeline,
    held_out: Images,
    folder: Path,
) -> _Training:
    """What is judged is a network of its own where the trained one is not what is saved."""
    optimizer = build_optimizer(spec, network, rates)
    mixed = spec.precision == "mixed"
    kernels = layers.usable(spec, pipeline.ranks) and layers.install(network) > 0
    step = TrainStep(
        ascend.mixed(network) if mixed else network,
        optimizer,
        soft=pipeline.soft,
        ranks=pipeline.ranks,
        ema=spec.ema,
        scale=ascend.LOSS_SCALE if mixed else 1.0,
    )
    judged = build(spec) if mixed or spec.ema or kernels else network
    return _Training(spec, step, judged, pipeline, held_out, folder, kernels)


def _pipeline(spec: TrainSpec, images: Images, rank: int, size: int) -> Pipeline:
    return Pipeline(
        images,
        spec.batch_size,
        spec.image_size,
        PRESETS[spec.normalisation],
        spec.seed,
        crop=spec.crop,
        flip=spec.flip,
        cutout=spec.cutout,
        mixup=spec.mixup,
        label_smoothing=spec.label_smoothing,
        classes=spec.classes,
        rank=rank,
        ranks=size,
    )


def _restore(run: _Training, identity: str) -> list[history.Row]:
    saved = resume.load(run.folder, identity)
    if saved is None:
        return []
    values, rows = saved
    checkpoint.assign(run.remembered(), values, run.folder)
    say(f"resumed after epoch {len(rows)} of {run.spec.epochs}")
    return rows


def _losses(run: _Training, epoch: int) -> Iterator[float]:
    for images, labels in run.pipeline.epoch(epoch):
        yield float(run.step(mindspore.Tensor(images), mindspore.Tensor(labels)).asnumpy())


def _sunk_losses(run: _Training, step: Callable[[], mindspore.Tensor]) -> Iterator[float]:
    for _ in range(run.pipeline.steps):
        yield float(step().asnumpy())


def _train_epoch(run: _Training, epoch: int, cores: Layout, values: Iterator[float]) -> tuple[history.Row, list[float]]:
    run.step.set_train(True)
    losses: list[float] = []
    began = previous = time.perf_counter()
    for value in values:
        losses.append(value)
        if not math.isfinite(losses[-1]):
            raise _diverged(run, epoch, f"the loss of step {len(losses)} is {losses[-1]}")
        now = time.perf_counter()
        cores.stepped(now - previous)
        previous = now
    seconds = time.perf_counter() - began
    loss = math.fsum(losses) / len(losses)
    if loss > _DIVERGED * math.log(run.spec.classes):
        raise _diverged(run, epoch, f"the loss has grown to {loss:.3g}")
    lost = _no_numbers(run.step.network)
    if lost:
        raise _diverged(run, epoch, f"{lost} holds values that are no numbers")
    steps = len(losses)
    rate = steps * run.spec.batch_size / seconds
    say(f"epoch: {epoch} step {steps}, loss is {losses[-1]}")
    say(
        f"epoch {epoch} cost time = {seconds:.3f}, train step num: {steps}, "
        f"one step time: {1e3 * seconds / steps:.3f} ms, train samples per second of cluster: {rate:.1f}"
    )
    return {
        "epoch": epoch,
        "loss": loss,
        "seconds": round(seconds, 3),
        "step_ms": round(1e3 * seconds / steps, 3),
        "images_per_second": round(rate, 1),
    }, losses


def _no_numbers(network: nn.Cell) -> str | None:
    """A parameter with values that are not finite: a loss may hide them, as a ReLU makes 0 of what is no number."""
    values = ((parameter.name, parameter.asnumpy()) for parameter in network.get_parameters())
    return next((name for name, value in values if not np.isfinite(value).all()), None)


def _diverged(run: _Training, epoch: int, what: str) -> InputError:
    kept = f"checkpoint.ckpt is that of epoch {epoch - 1}" if epoch > 1 else "no epoch was finished"
    return InputError(
        f"epoch {epoch}: {what}; {kept}", f"take a smaller learning_rate than {run.spec.learning_rate}, or a warm-up"
    )


def _finish_epoch(
    run: _Training, rows: list[history.Row], row: history.Row, identity: str, steps: tuple[list[float], list[float]]
) -> None:
    """Evaluate when it is time, and save everything, the state last: it is what a resumed run believes."""
    epoch = int(str(row["epoch"]))
    if epoch % run.spec.evaluate_every == 0 or epoch == run.spec.epochs:
        found = run.judge()
        row["accuracy"] = scoring.accuracy(found, run.held_out.labels)
        row["evaluation_loss"] = loss = scoring.cross_entropy(found, run.held_out.labels)
        if not math.isfinite(loss):
            raise _diverged(run, epoch, f"the loss on the evaluation images is {loss}")
        if epoch == _best([*rows, row])["epoch"]:
            checkpoint.save_checkpoint(run.folder / "best.ckpt", run.values())
    row["peak_memory_mb"] = history.peak_memory_mb()
    rows.append(row)
    checkpoint.save_checkpoint(run.folder / "checkpoint.ckpt", run.values())
    history.write(run.folder, rows)
    history.write_steps(run.folder, epoch, *steps)
    resume.save(run.folder, identity, checkpoint.arrays(run.remembered()), rows)
    event("epoch", epochs=run.spec.epochs, **row)


def _best(rows: list[history.Row]) -> history.Row:
    """The evaluated epoch with the highest accuracy, the earliest of equals."""
    return max((row for row in rows if "accuracy" in row), key=lambda row: float(str(row["accuracy"])))


def _write_result(run: _Training, rows: list[history.Row]) -> None:
    last, best = rows[-1], _best(rows)
    say("Start run evaluation.")
    say(f"Evaluation result: {{'acc': {last['accuracy']}}}.")
    write_json(
        run.folder / "result.json",
        {
            "parameters_sha256": checkpoint.digest(run.values()),
            "parameter_count": sum(parameter.size for parameter in run.step.network.trainable_params()),
            "epochs": len(rows),
            "steps_per_epoch": run.pipeline.steps,
            "loss": last["loss"],
            "accuracy": last["accuracy"],
            "evaluation_loss": last["evaluation_loss"],
            "compiled_kernels": run.kernels,
            "best_epoch": best["epoch"],
            "best_accuracy": best["accuracy"],
        },
    )
