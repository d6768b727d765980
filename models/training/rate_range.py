"""The learning-rate range test: a short training whose rate rises by a factor a step (L. N. Smith 2017, §3.3)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import mindspore
import numpy as np

from ..data.images import read_contract, read_images
from ..failures import InputError, SpecError
from ..files import write_json
from ..protocol import log
from . import ascend
from .means import running_mean
from .runtime import layout
from .session import Session, prepare, training_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mindspore import nn

    from ..spec.train_spec import TrainSpec

_LOWEST, _HIGHEST, _STEPS = 1e-5, 10.0, 200
_GROWN = 3.0  # the test ends when the mean loss has grown to this multiple of the lowest
_MARGIN = 10.0  # a tenth of the rate with the lowest loss is safe
_LEAST = 20  # steps


@dataclass(frozen=True)
class Advice:
    """Learning rates that the test suggests.

    Attributes:
        steepest: the loss falls fastest here; a good highest rate of a schedule.
        cautious: a tenth of the rate with the lowest loss.
    """

    steepest: float
    cautious: float


def measure_rates(spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, output: Path) -> None:
    """Write `rates.json` into `output`: rate and loss of each step, and the advice.

    The parameters are thrown away. The test ends early when the loss diverges.

    Args:
        spec: the training specification; its schedule is replaced.
        build: builds the network.
        data: data set with `train/` and `eval/`.
        output: folder for the result.

    Raises:
        Failure: data or specification are wrong, or the loss is infinite within the first steps.
    """
    ascend.check_device(spec)
    images = read_images(data, "train", spec.classes)
    if spec.batch_size > len(images):
        raise SpecError(f"batch_size: {spec.batch_size} exceeds the {len(images):,} training images")
    rates = np.geomspace(_LOWEST, _HIGHEST, _STEPS).astype(np.float32)
    pipeline = training_pipeline(spec, images, read_contract(data, spec), 0, 1)
    evaluation = read_images(data, "eval", spec.classes)
    run = prepare(spec, build, build(spec), rates, pipeline, evaluation, output)
    run.step.set_train(True)
    with layout(run.kernels):
        losses = _until_diverged(_losses(run))
    if len(losses) < _LEAST:
        raise InputError(
            f"the loss is infinite after {len(losses)} steps with a learning rate below {rates[len(losses)]:.2g}",
            "check data and normalisation (`atlasflow show samples`)",
        )
    found = advice(rates[: len(losses)].tolist(), losses)
    log(f"the loss falls fastest at {found.steepest:.2g}; a cautious rate is {found.cautious:.2g}")
    rows = [{"learning_rate": rate, "loss": loss} for rate, loss in zip(rates.tolist(), losses)]  # noqa: B905
    write_json(output / "rates.json", {"steps": rows, **asdict(found)})


def advice(rates: Sequence[float], losses: Sequence[float]) -> Advice:
    """Read a range test.

    Args:
        rates: of each step, rising by a factor.
        losses: of each step.
    """
    means = np.array(running_mean(losses))
    lowest = int(means.argmin())
    slopes = np.gradient(means, np.log(np.array(rates)))
    steepest = int(slopes[: max(2, lowest)].argmin())
    return Advice(float(rates[steepest]), float(rates[lowest]) / _MARGIN)


def _losses(run: Session) -> Iterator[float]:
    epoch, count = 0, 0
    while True:
        epoch += 1
        for images, labels in run.pipeline.epoch(epoch):
            if count == _STEPS:
                return
            count += 1
            yield float(run.step(mindspore.Tensor(images), mindspore.Tensor(labels)).asnumpy())


def _until_diverged(values: Iterator[float]) -> list[float]:
    losses: list[float] = []
    for value in values:
        if not math.isfinite(value):
            break
        losses.append(value)
        means = running_mean(losses)
        if len(losses) > _LEAST and means[-1] > _GROWN * min(means):
            break
    return losses
