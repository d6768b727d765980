"""A training in progress: its step, its batches and the network that is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np

from ..data.images import Images
from ..data.pipeline import Pipeline
from ..evaluation.inference import logits, network_forward
from ..kernels import layers
from . import ascend, checkpoint
from .lookahead import Lookahead
from .optimizers import build_optimizer
from .pretrained import head_name
from .step import MEAN, TrainStep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mindspore import nn
    from numpy.typing import NDArray

    from ..preprocess import Contract
    from ..spec.train_spec import TrainSpec


@dataclass
class Session:
    """One training in progress.

    Attributes:
        spec: the training specification.
        step: forward, backward and update; its network is the one that is trained.
        inference_network: the network that is evaluated.
        pipeline: the training batches.
        evaluation: the evaluation images.
        folder: where checkpoints and results go.
        kernels: True when the compiled kernels are in use.
        frozen: True while only the head learns.
        lookahead: moves the slow copy of the parameters; None without one.
    """

    spec: TrainSpec
    step: TrainStep
    inference_network: nn.Cell
    pipeline: Pipeline
    evaluation: Images
    folder: Path
    kernels: bool
    frozen: bool = False
    lookahead: Lookahead | None = None

    @property
    def averaged(self) -> bool:
        """True when the step's `means`, and not the network's parameters, are the result."""
        return bool(self.spec.ema or self.spec.lookahead)

    def set_train(self) -> None:
        """Prepare for training steps; a frozen network computes as in evaluation."""
        self.step.set_train(not self.frozen)

    def values(self) -> dict[str, NDArray[Any]]:
        """Return the current result by parameter name: the network's parameters, or their running means."""
        values = checkpoint.arrays(self.step.network.get_parameters())
        if not self.averaged:
            return values
        means = checkpoint.arrays(self.step.means)
        return {name: means[f"{MEAN}.{name}"] for name in values}

    def state(self) -> list[mindspore.Parameter]:
        """Return all parameters that the next step depends on."""
        parameters = [*self.step.optimizer.get_parameters(), *self.step.network.get_parameters()]
        return [*parameters, *(self.step.means if self.averaged else ())]

    def evaluate(self) -> NDArray[np.float32]:
        """Return the logits of the evaluation images: float32 [n, classes]."""
        if self.inference_network is not self.step.network:
            checkpoint.assign(self.inference_network.get_parameters(), self.values(), self.folder)
        forward = network_forward(self.inference_network)
        return logits(forward, self.evaluation.pixels, self.pipeline.contract)


def prepare(
    spec: TrainSpec,
    build: Callable[[TrainSpec], nn.Cell],
    network: nn.Cell,
    rates: NDArray[np.float32],
    pipeline: Pipeline,
    evaluation: Images,
    folder: Path,
    *,
    frozen: bool = False,
) -> Session:
    """Build the training step.

    A separate network is evaluated where the trained one differs from the saved one: mixed precision, running means,
    compiled kernels.

    Args:
        spec: the training specification.
        build: builds a network.
        network: the network to train.
        rates: float32, the learning rate of each step.
        pipeline: the training batches.
        evaluation: the evaluation images.
        folder: where checkpoints and results go.
        frozen: let only the head learn.
    """
    if frozen:
        head = f"{head_name(network)}."
        for parameter in network.trainable_params():
            parameter.requires_grad = parameter.name.startswith(head)
    optimizer = build_optimizer(spec, network, rates)
    mixed = spec.precision == "mixed"
    kernels = layers.usable(spec, pipeline.ranks) and layers.install(network, spec.precision) > 0
    if spec.precision == "bfloat16":
        layers.check_bfloat16(kernels)
    step = TrainStep(
        ascend.mixed_precision(network) if mixed else network,
        optimizer,
        soft=pipeline.soft,
        ranks=pipeline.ranks,
        ema=spec.ema,
        copied=spec.lookahead > 0,
        scale=ascend.LOSS_SCALE if mixed else 1.0,
    )
    inference_network = build(spec) if mixed or spec.ema or spec.lookahead or kernels else network
    steps = pipeline.steps * spec.epochs
    lookahead = Lookahead(step.followed, step.means, spec.lookahead, steps) if spec.lookahead else None
    return Session(spec, step, inference_network, pipeline, evaluation, folder, kernels, frozen, lookahead)


def training_pipeline(spec: TrainSpec, images: Images, contract: Contract, rank: int, size: int) -> Pipeline:
    """Return the batches of device `rank` of `size` devices."""
    return Pipeline(
        images,
        spec.batch_size,
        contract,
        spec.seed,
        spec.classes,
        crop=spec.crop,
        border=spec.crop_border,
        flip=spec.flip,
        in_turn=spec.flip_in_turn,
        cutout=spec.cutout,
        mixup=spec.mixup,
        label_smoothing=spec.label_smoothing,
        rank=rank,
        ranks=size,
    )
