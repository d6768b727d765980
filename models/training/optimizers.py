"""The optimizer of a training specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mindspore import Parameter, nn

from ..failures import Refusal
from .runtime import device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec

_NOT_DECAYED = (".gamma", ".beta", ".bias")  # MindSpore's names for normalisation parameters and biases


def build_optimizer(spec: TrainSpec, network: nn.Cell, rates: NDArray[np.float32]) -> nn.Optimizer:
    """Build the optimizer of a network's trainable parameters.

    Args:
        spec: the training specification.
        network: the network to train.
        rates: float32 [steps], the learning rate of each step.

    Raises:
        Refusal: LAMB on a CPU, where MindSpore does not implement it.
    """
    groups = _groups(spec, network.trainable_params())
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


def _groups(spec: TrainSpec, parameters: list[Parameter]) -> list[dict[str, object]]:
    if spec.decay_all or spec.weight_decay == 0.0:
        return [{"params": parameters, "weight_decay": spec.weight_decay}]
    undecayed = [parameter for parameter in parameters if parameter.name.endswith(_NOT_DECAYED)]
    decayed = [parameter for parameter in parameters if not parameter.name.endswith(_NOT_DECAYED)]
    groups: list[dict[str, object]] = [{"params": decayed, "weight_decay": spec.weight_decay}]
    if undecayed:
        groups.append({"params": undecayed, "weight_decay": 0.0})
    return [*groups, {"order_params": parameters}]
