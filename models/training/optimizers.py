"""The optimizer of a training specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import Parameter, nn

from ..failures import Refusal
from .pretrained import head_name
from .runtime import device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec

_NOT_DECAYED = (".gamma", ".beta", ".bias")  # MindSpore's names for normalisation parameters and biases
_NORMALISATION_BIAS = ".beta"


def build_optimizer(spec: TrainSpec, network: nn.Cell, rates: NDArray[np.float32]) -> nn.Optimizer:
    """Build the optimizer of a network's trainable parameters.

    Args:
        spec: the training specification.
        network: the network to train.
        rates: float32 [steps], the learning rate of each step.

    Raises:
        Refusal: LAMB on a CPU, where MindSpore does not implement it.
    """
    groups = _groups(spec, network, rates)
    schedule = rates.tolist()
    if spec.nesterov:
        # MindSpore 2.10's Momentum ignores `use_nesterov` on a CPU; SGD supports it and is equal otherwise.
        return nn.SGD(groups, schedule, momentum=spec.momentum, nesterov=True)
    if spec.optimizer == "momentum":
        return nn.Momentum(groups, schedule, spec.momentum)
    if spec.optimizer == "sgd":
        return nn.SGD(groups, schedule)
    if spec.optimizer == "adam":
        return nn.Adam(groups, schedule)
    if spec.optimizer == "lamb":
        if device() == "CPU":
            raise Refusal("optimizer: MindSpore has no LAMB for a CPU", "use adamw, or train on Ascend")
        return nn.Lamb(groups, schedule)
    return nn.AdamWeightDecay(groups, schedule)


def _groups(spec: TrainSpec, network: nn.Cell, rates: NDArray[np.float32]) -> list[dict[str, object]]:
    """The parameters with equal weight decay and learning rate; the order of all is kept."""
    parameters = network.trainable_params()
    head = f"{head_name(network)}." if spec.body_rate != 1.0 else ""
    groups: dict[tuple[float, float], list[Parameter]] = {}
    for parameter in parameters:
        kept = not spec.decay_all and parameter.name.endswith(_NOT_DECAYED)
        factor = 1.0 if parameter.name.startswith(head) else spec.body_rate
        decay = 0.0 if kept else spec.weight_decay
        if parameter.name.endswith(_NORMALISATION_BIAS):
            factor, decay = factor * spec.bias_rate, decay / spec.bias_rate
        groups.setdefault((decay, factor), []).append(parameter)
    made: list[dict[str, object]] = [
        {"params": chosen, "weight_decay": decay, **({} if factor == 1.0 else {"lr": (rates * factor).tolist()})}
        for (decay, factor), chosen in groups.items()
    ]
    return made if len(made) == 1 else [*made, {"order_params": parameters}]
