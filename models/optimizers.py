"""Optimizers of a specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import Parameter, nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .trainspec import TrainSpec

_NOT_DECAYED = (".gamma", ".beta", ".bias")  # MindSpore's names for normalisation parameters and biases


def build_optimizer(spec: TrainSpec, network: nn.Cell, rates: NDArray[np.float32]) -> nn.Optimizer:
    """The optimizer of a specification over a network's trainable parameters.

    Args:
        spec: the training.
        network: whose parameters are to change.
        rates: float32, the learning rate of every step.
    """
    groups = _groups(spec, network.trainable_params())
    schedule = rates.tolist()
    if spec.optimizer == "momentum":
        return nn.Momentum(groups, schedule, spec.momentum, use_nesterov=spec.nesterov)
    if spec.optimizer == "sgd":
        return nn.SGD(groups, schedule)
    if spec.optimizer == "adam":
        return nn.Adam(groups, schedule)
    return nn.AdamWeightDecay(groups, schedule)


def _groups(spec: TrainSpec, parameters: list[Parameter]) -> list[dict[str, object]]:
    if spec.decay_all or spec.weight_decay == 0.0:
        return [{"params": parameters, "weight_decay": spec.weight_decay}]
    bare = [parameter for parameter in parameters if parameter.name.endswith(_NOT_DECAYED)]
    rest = [parameter for parameter in parameters if not parameter.name.endswith(_NOT_DECAYED)]
    groups: list[dict[str, object]] = [{"params": rest, "weight_decay": spec.weight_decay}]
    if bare:
        groups.append({"params": bare, "weight_decay": 0.0})
    return [*groups, {"order_params": parameters}]
