"""Train a network with a checkpoint after each epoch; an interrupted training gives the same bytes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mindspore
import numpy as np

from ..data.images import read_contract, read_images
from ..failures import InputError, SpecError
from ..files import sha256, write_json
from ..protocol import event, log
from . import ascend, checkpoint, history, resume, scoring, tracing
from .pretrained import load_pretrained
from .runtime import Layout, layout, ranks
from .schedules import learning_rates
from .session import Session, prepare, training_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mindspore import nn

    from ..data.pipeline import Pipeline
    from ..spec.train_spec import TrainSpec

_DIVERGED = 20.0  # multiple of the loss of random guessing, log(classes); far above that of a network that learns
_FITTED = 5000  # training images that a network may take initial values from


@dataclass(frozen=True)
class Start:
    """A checkpoint to start from.

    Attributes:
        path: a file that `weights.read` reads.
        native_name: maps a parameter name of the file to the name in the network.
    """

    path: Path
    native_name: Callable[[str], str]


def train(
    spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, folder: Path, start: Start | None = None
) -> None:
    """Train in `folder`, or resume an interrupted run of the same training.

    Write `checkpoint.ckpt` (last epoch), `best.ckpt` (the epoch with the highest accuracy on the evaluation images, the
    earliest of equals), `history.csv`, `history.jsonl`, `steps.csv` and `result.json`; with `start` also
    `pretrained.json`, which parameters were loaded.

    Raises:
        Failure: data or specification are wrong, the device does not support them, the loss is NaN or infinite, or the
            disk is full.
    """
    ascend.check_device(spec)
    tracing.choose_mode(spec)
    images = read_images(data, "train", spec.classes)
    evaluation = read_images(data, "eval", spec.classes)
    if spec.batch_size > len(images):
        raise SpecError(f"batch_size: {spec.batch_size} exceeds the {len(images):,} training images")
    rank, size = ranks()
    if spec.batch_size % size:
        raise SpecError(f"batch_size: {spec.batch_size} cannot be divided among {size} devices", "use a multiple")
    pipeline = training_pipeline(spec, images, read_contract(data, spec), rank, size)
    network = _built(spec, build, pipeline)
    rates = learning_rates(spec, pipeline.steps)
    if start is not None:
        report = load_pretrained(network, start.path, start.native_name, new_head=spec.new_head)
        if rank == 0:
            write_json(folder / "pretrained.json", report)
    frozen_steps = spec.freeze_epochs * pipeline.steps

    def thaw(frozen: Session) -> Session:
        """Train all layers from here on: with a new network, as a compiled step keeps what it was built for."""
        thawed = build(spec)
        checkpoint.assign(thawed.get_parameters(), frozen.values(), folder)
        return prepare(spec, build, thawed, rates[frozen_steps:], pipeline, evaluation, folder)

    first_rates = rates[:frozen_steps] if frozen_steps else rates
    run = prepare(spec, build, network, first_rates, pipeline, evaluation, folder, frozen=frozen_steps > 0)
    inputs = [images.sha256, evaluation.sha256, *([] if start is None else [sha256(start.path)])]
    identity = resume.identity(spec, *inputs, *(["compiled kernels"] if run.kernels else []))
    run, rows = _restore(run, identity, thaw)
    first = len(rows) + 1
    with layout(run.kernels) as cores, tracing.print_shapes(spec, network):
        sink = ascend.sink_step(run.step, pipeline, first, spec.epochs) if spec.sink and first <= spec.epochs else None
        for epoch in range(first, spec.epochs + 1):
            if run.frozen and epoch > spec.freeze_epochs:
                run = thaw(run)
            values = _losses(run, epoch) if sink is None else _sink_losses(run, sink)
            row, losses = _train_epoch(run, epoch, cores, values)
            epoch_rates = rates[(epoch - 1) * pipeline.steps : epoch * pipeline.steps].tolist()
            row["learning_rate"] = epoch_rates[-1]
            if rank == 0:
                _finish_epoch(run, rows, row, identity, (losses, epoch_rates))
            else:
                rows.append(row)
            cores.refresh()
    if rank == 0:
        _write_result(run, rows)


def _built(spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], pipeline: Pipeline) -> nn.Cell:
    """Build a network. One with a method `fit` takes initial values from the first normalised images."""
    network = build(spec)
    if hasattr(network, "fit"):
        network.fit(pipeline.contract.tensor(pipeline.contract.resize(pipeline.images.pixels[:_FITTED])))
    return network


def _restore(run: Session, identity: str, thaw: Callable[[Session], Session]) -> tuple[Session, list[history.Row]]:
    """Return the session and the epochs of an interrupted run, after its last complete epoch."""
    saved = resume.load(run.folder, identity)
    if saved is None:
        return run, []
    values, rows = saved
    if run.frozen and len(rows) > run.spec.freeze_epochs:
        run = thaw(run)
    checkpoint.assign(run.state(), values, run.folder)
    log(f"resumed after epoch {len(rows)} of {run.spec.epochs}")
    return run, rows


def _losses(run: Session, epoch: int) -> Iterator[float]:
    for number, (images, labels) in enumerate(run.pipeline.epoch(epoch), (epoch - 1) * run.pipeline.steps + 1):
        loss = float(run.step(mindspore.Tensor(images), mindspore.Tensor(labels)).asnumpy())
        if run.lookahead is not None:
            run.lookahead.on_step(number)
        yield loss


def _sink_losses(run: Session, step: Callable[[], mindspore.Tensor]) -> Iterator[float]:
    for _ in range(run.pipeline.steps):
        yield float(step().asnumpy())


def _train_epoch(run: Session, epoch: int, cores: Layout, values: Iterator[float]) -> tuple[history.Row, list[float]]:
    run.set_train()
    losses: list[float] = []
    began = previous = time.perf_counter()
    for value in values:
        losses.append(value)
        if not math.isfinite(losses[-1]):
            raise _diverged(run, epoch, f"the loss of step {len(losses)} is {losses[-1]}")
        now = time.perf_counter()
        cores.on_step(now - previous)
        previous = now
    seconds = time.perf_counter() - began
    loss = math.fsum(losses) / len(losses)
    if loss > _DIVERGED * math.log(run.spec.classes):
        raise _diverged(run, epoch, f"the loss has grown to {loss:.3g}")
    damaged = _not_finite(run.step.network)
    if damaged:
        raise _diverged(run, epoch, f"{damaged} has NaN or infinite values")
    steps = len(losses)
    rate = steps * run.spec.batch_size / seconds
    log(f"epoch: {epoch} step {steps}, loss is {losses[-1]}")
    log(
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


def _not_finite(network: nn.Cell) -> str | None:
    """Name a parameter with NaN or infinite values. The loss may hide them: ReLU maps NaN to 0."""
    values = ((parameter.name, parameter.asnumpy()) for parameter in network.get_parameters())
    return next((name for name, value in values if not np.isfinite(value).all()), None)


def _diverged(run: Session, epoch: int, problem: str) -> InputError:
    saved = f"checkpoint.ckpt is from epoch {epoch - 1}" if epoch > 1 else "no epoch is complete"
    return InputError(
        f"epoch {epoch}: {problem}; {saved}", f"use a learning_rate below {run.spec.learning_rate}, or a warm-up"
    )


def _finish_epoch(
    run: Session, rows: list[history.Row], row: history.Row, identity: str, steps: tuple[list[float], list[float]]
) -> None:
    """Evaluate if due and save everything. The state comes last, because a resumed run starts from it."""
    epoch = int(str(row["epoch"]))
    if epoch % run.spec.evaluate_every == 0 or epoch == run.spec.epochs:
        predictions = run.evaluate()
        row["accuracy"] = scoring.accuracy(predictions, run.evaluation.labels)
        row["evaluation_loss"] = loss = scoring.cross_entropy(predictions, run.evaluation.labels)
        if not math.isfinite(loss):
            raise _diverged(run, epoch, f"the loss on the evaluation images is {loss}")
        if epoch == _best([*rows, row])["epoch"]:
            checkpoint.save_checkpoint(run.folder / "best.ckpt", run.values())
    row["peak_memory_mb"] = history.peak_memory_mb()
    rows.append(row)
    checkpoint.save_checkpoint(run.folder / "checkpoint.ckpt", run.values())
    history.write(run.folder, rows)
    history.write_steps(run.folder, epoch, *steps)
    resume.save(run.folder, identity, checkpoint.arrays(run.state()), rows)
    event("epoch", epochs=run.spec.epochs, **row)


def _best(rows: list[history.Row]) -> history.Row:
    """Return the evaluated epoch with the highest accuracy, the earliest of equals."""
    return max((row for row in rows if "accuracy" in row), key=lambda row: float(str(row["accuracy"])))


def _write_result(run: Session, rows: list[history.Row]) -> None:
    last, best = rows[-1], _best(rows)
    log("Start run evaluation.")
    log(f"Evaluation result: {{'acc': {last['accuracy']}}}.")
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
