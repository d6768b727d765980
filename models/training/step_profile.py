"""Where the milliseconds of a training step go: by layer, forward and backward, from MindSpore's own profiler."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import mindspore
import numpy as np

from ..data.images import read_contract, read_images
from ..failures import Refusal, SpecError
from ..files import write_json
from ..kernels.layers import REPLACED
from ..protocol import log
from . import ascend
from .runtime import device, layout
from .session import prepare, training_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mindspore import nn

    from ..spec.train_spec import TrainSpec
    from .step import TrainStep

_WARM, _TIMED = 5, 10  # steps; compilation is in the first
# MindSpore 2.10 writes a line for each operator: full name; kind; `start in ns,milliseconds,thread` of each execution.
_LISTING = "*/FRAMEWORK/cpu_op_execute_timestamp_*.txt"
_BACKWARD, _GRADIENT = "Gradients/", "Grad_"
_NETWORK, _LOSS, _UPDATE = "network", "loss", "optimizer"  # attributes of `TrainStep`


@dataclass(frozen=True)
class Operator:
    """The executions of one operator, one a step.

    Attributes:
        name: full name, such as `Default/network-LeNet5/fc1-Dense/MatMul-op3`.
        starts: in nanoseconds.
        milliseconds: of each.
    """

    name: str
    starts: tuple[int, ...]
    milliseconds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Milliseconds a step."""
        return sum(self.milliseconds) / len(self.milliseconds)

    @property
    def cells(self) -> list[str]:
        """Attributes that lead from the training step to the cell."""
        words = self.name.split("/")[:-1]
        return [word.partition("-")[0] for word in words if "-" in word and not word.startswith(_GRADIENT)]


@dataclass
class LayerTime:
    """Milliseconds of one layer in one step."""

    forward: float = 0.0
    backward: float = 0.0


@dataclass
class StepTimes:
    """Milliseconds of one step by part.

    Attributes:
        layers: by name; backward only where AtlasFlow's kernels are used.
        gradients: the backward pass of MindSpore's own operators by kind, such as `MatMul`. MindSpore compiles a
            gradient once, and names all its uses after one layer, so that they cannot be told apart.
        loss: forward and backward.
        update: the optimizer.
        other: operators that belong to no layer.
    """

    layers: dict[str, LayerTime] = field(default_factory=lambda: defaultdict(LayerTime))
    gradients: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    loss: float = 0.0
    update: float = 0.0
    other: float = 0.0


def profile_step(spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, output: Path) -> None:
    """Write `step.json` into `output`: the median time of a step, and what its parts take.

    Args:
        spec: the training specification.
        build: builds the network.
        data: data set with `train/` and `eval/`.
        output: folder for the result.

    Raises:
        Failure: data or specification are wrong, or the device has a profiler of its own.
    """
    if device() != "CPU":
        raise Refusal("the times of a step are measured on a CPU", "use Ascend's msprof on the board or in the job")
    ascend.check_device(spec)
    images = read_images(data, "train", spec.classes)
    if spec.batch_size > len(images):
        raise SpecError(f"batch_size: {spec.batch_size} exceeds the {len(images):,} training images")
    pipeline = training_pipeline(spec, images, read_contract(data, spec), 0, 1)
    rates = np.full(_WARM + 2 * _TIMED, spec.learning_rate, np.float32)
    network = build(spec)
    run = prepare(spec, build, network, rates, pipeline, read_images(data, "eval", spec.classes), output)
    run.step.set_train(True)
    began = time.perf_counter()
    images_of_batch, labels = next(pipeline.epoch(1))
    batch_ms = 1e3 * (time.perf_counter() - began)
    batch = (mindspore.Tensor(images_of_batch), mindspore.Tensor(labels))
    with layout(run.kernels):
        for _ in range(_WARM):
            run.step(*batch).asnumpy()
        step_ms = statistics.median(_milliseconds(run.step, batch) for _ in range(_TIMED))
        operators = profiled(run.step, batch)
    times = parts(operators)
    log(f"a step takes {step_ms:.3f} ms, {spec.batch_size / step_ms * 1e3:,.0f} images a second")
    write_json(output / "step.json", _to_json(spec, run.kernels, step_ms, batch_ms, times))


def parts(operators: Sequence[Operator]) -> StepTimes:
    """Sum the times of operators by layer; what starts after the loss is computed is the backward pass.

    Args:
        operators: of a training step.
    """
    times = StepTimes()
    losses = [one for one in operators if one.cells[:1] == [_LOSS] and not one.name.startswith(_BACKWARD)]
    forward_ends = max((one.starts[0] for one in losses), default=None)
    for one in operators:
        cells = one.cells
        first = cells[0] if cells else ""
        kind = one.name.split("/")[-2]
        if kind.startswith(_GRADIENT) and first == _NETWORK:
            times.gradients[kind.removeprefix(_GRADIENT)] += one.mean
        elif first == _NETWORK and len(cells) > 1:
            layer = times.layers[".".join(takewhile(lambda cell: cell not in REPLACED, cells[1:]))]
            if forward_ends is not None and one.starts[0] > forward_ends:
                layer.backward += one.mean
            else:
                layer.forward += one.mean
        elif first == _LOSS:
            times.loss += one.mean
        elif first == _UPDATE:
            times.update += one.mean
        else:
            times.other += one.mean
    return times


def _milliseconds(step: TrainStep, batch: tuple[mindspore.Tensor, mindspore.Tensor]) -> float:
    began = time.perf_counter()
    step(*batch).asnumpy()
    return 1e3 * (time.perf_counter() - began)


def profiled(step: TrainStep, batch: tuple[mindspore.Tensor, mindspore.Tensor]) -> list[Operator]:
    """The operators of some steps, in the order of their execution."""
    from mindspore.profiler import (  # noqa: PLC0415 - slow to import
        ProfilerActivity,
        profile,
        tensorboard_trace_handler,
    )

    with tempfile.TemporaryDirectory() as folder:
        with profile(activities=[ProfilerActivity.CPU], on_trace_ready=tensorboard_trace_handler(folder)):
            for _ in range(_TIMED):
                step(*batch).asnumpy()
        lines = [line for path in Path(folder).glob(_LISTING) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted(map(read_operator, lines), key=lambda one: one.starts[0])


def read_operator(line: str) -> Operator:
    """Read a line of MindSpore's listing of executions."""
    name, _, executions = line.split(";", 2)
    fields = [execution.split(",") for execution in executions.split()]
    return Operator(name, tuple(int(words[0]) for words in fields), tuple(float(words[1]) for words in fields))


def _to_json(spec: TrainSpec, kernels: bool, step_ms: float, batch_ms: float, times: StepTimes) -> dict[str, object]:
    return {
        "network": spec.network,
        "batch_size": spec.batch_size,
        "compiled_kernels": kernels,
        "step_ms": round(step_ms, 4),
        "batch_ms": round(batch_ms, 4),
        "gradients": [{"kind": kind, "ms": round(time, 4)} for kind, time in times.gradients.items()],
        "loss_ms": round(times.loss, 4),
        "update_ms": round(times.update, 4),
        "other_ms": round(times.other, 4),
        "layers": [
            {"name": name, "forward_ms": round(layer.forward, 4), "backward_ms": round(layer.backward, 4)}
            for name, layer in times.layers.items()
        ],
    }
