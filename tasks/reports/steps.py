"""What short trainings show: where a step's time goes, and which learning rates the loss stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class LayerTime:
    """Milliseconds of one layer in one step."""

    name: str
    forward_ms: float
    backward_ms: float

    @property
    def both(self) -> float:
        """Milliseconds forward and backward."""
        return self.forward_ms + self.backward_ms


@dataclass(frozen=True)
class StepTimes:
    """`step.json` (`models/training/step_profile.py`).

    The parts are sums over operators, so they can exceed the step where operators run side by side.

    Attributes:
        network: its name.
        batch_size: images in a step.
        compiled_kernels: whether AtlasFlow's kernels were used.
        step_ms: median of a step, without the batch.
        batch_ms: to prepare a batch.
        gradients: kind and milliseconds of the backward pass of MindSpore's own operators, which it does not tell
            apart by layer.
        loss_ms: the loss, forward and backward.
        update_ms: the optimizer.
        other_ms: operators that belong to no layer.
        layers: in the order of the network's execution.
    """

    network: str
    batch_size: int
    compiled_kernels: bool
    step_ms: float
    batch_ms: float
    loss_ms: float
    update_ms: float
    other_ms: float
    layers: tuple[LayerTime, ...]
    gradients: tuple[tuple[str, float], ...] = ()

    @property
    def rest(self) -> tuple[tuple[str, float], ...]:
        """Name and milliseconds of the parts that are no layers."""
        return (
            *((f"{kind}, backward", milliseconds) for kind, milliseconds in self.gradients),
            ("loss", self.loss_ms),
            ("update", self.update_ms),
            ("other", self.other_ms),
            ("batch", self.batch_ms),
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StepTimes:
        """Read the object in `step.json`."""
        layers = tuple(LayerTime(**row) for row in value["layers"])
        gradients = tuple((row["kind"], row["ms"]) for row in value["gradients"])
        return cls(**{**value, "layers": layers, "gradients": gradients})


@dataclass(frozen=True)
class RateRange:
    """`rates.json` (`models/training/rate_range.py`).

    Attributes:
        rates: learning rate of each step.
        losses: loss of each step.
        steepest: the rate at which the loss falls fastest.
        cautious: a tenth of the rate with the lowest loss.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    steepest: float
    cautious: float

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RateRange:
        """Read the object in `rates.json`."""
        steps = value["steps"]
        return cls(
            tuple(row["learning_rate"] for row in steps),
            tuple(row["loss"] for row in steps),
            value["steepest"],
            value["cautious"],
        )
