"""Options for Ascend devices: mixed precision, and batches that the device fetches from its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mindspore
from mindspore import amp, dataset, nn

from ..failures import Refusal
from .runtime import device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from ..data.pipeline import Pipeline
    from ..spec.train_spec import TrainSpec

LOSS_SCALE = 1024.0
"""Factor of the loss, so that small gradients stay above float16's smallest number (6e-8)."""


def check_device(spec: TrainSpec) -> None:
    """Check that this machine's device supports the specification.

    Raises:
        Refusal: mixed precision or sinking on a CPU.
    """
    if device() == "Ascend":
        return
    if spec.precision == "mixed":
        raise Refusal(
            f"precision: {spec.precision} needs Ascend; this machine trains on its CPU, where float16 is slower",
            "set precision=float32, or train on Ascend",
        )
    if spec.sink:
        raise Refusal(
            "sink: this machine trains on its CPU, which has no batch queue",
            "set sink=false, or train on Ascend",
        )


def mixed_precision(network: nn.Cell) -> nn.Cell:
    """Return the network in float16, with float32 normalisation, parameters and logits (MindSpore's level O2)."""
    return amp.auto_mixed_precision(network, "O2")


class Batches:
    """The batches of consecutive epochs, as a source of MindSpore's data pipeline."""

    def __init__(self, pipeline: Pipeline, first: int, last: int) -> None:
        self._pipeline = pipeline
        self._epochs = range(first, last + 1)

    def __len__(self) -> int:
        return len(self._epochs) * self._pipeline.steps

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        for epoch in self._epochs:
            yield from self._pipeline.epoch(epoch)


def sink_step(step: nn.Cell, pipeline: Pipeline, first: int, last: int) -> Callable[[], mindspore.Tensor]:
    """Return a step that takes its batch from the device's queue, filled in parallel; each call returns a loss.

    Args:
        step: maps images and labels to the loss.
        pipeline: the training batches.
        first: number of the first epoch.
        last: number of the last epoch.
    """
    batches = dataset.GeneratorDataset(
        Batches(pipeline, first, last), ["image", "label"], shuffle=False, num_parallel_workers=1
    )
    call: Callable[[], mindspore.Tensor] = mindspore.data_sink(step, batches, sink_size=1)
    return call
