"""The parity ledger: how far each form of the model is from the checkpoint. Values, and their one JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.ports.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKPOINT = "checkpoint"
OWN_MODEL = "model"
"""The first form of a model from outside."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of the parity gate: least agreement, and largest drop of the accuracy, both as shares."""

    min_agreement: float
    max_accuracy_drop: float


@dataclass(frozen=True)
class StepLoss:
    """A compiled model against the file that it was compiled from."""

    agreement: float
    cosine: float
    max_difference: float | None


@dataclass(frozen=True)
class Hop:
    """One conversion of the model, from one form to the next.

    Attributes:
        source: the form that it starts from, such as `checkpoint` or `onnx`.
        target: the form that it ends at, such as `onnx`, `Ascend310 force_fp16` or `board porch`.
        bytes: size of the target's file.
        whole: the target against the checkpoint; None when it was not executed.
        step: the target against the source; None when one of them was not executed.
        objection: why the target does not pass the gate; None when it passes or was not executed.
        reason: why the target was not executed.
        soc_version: of a compiled model.
        precision: likewise.
    """

    source: str
    target: str
    bytes: int
    whole: Comparison | None = None
    step: StepLoss | None = None
    objection: str | None = None
    reason: str = ""
    soc_version: str = ""
    precision: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Hop:
        """Read the JSON form, which calls the ends `from` and `to`."""
        values = dict(value)
        whole, step = values.pop("whole"), values.pop("step")
        return cls(
            values.pop("from"),
            values.pop("to"),
            whole=None if whole is None else Comparison.from_json(whole),
            step=None if step is None else StepLoss(**step),
            **values,
        )

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        values = {name: value for name, value in vars(self).items() if name not in ("source", "target")}
        whole = None if self.whole is None else self.whole.to_json()
        step = None if self.step is None else asdict(self.step)
        return {"from": self.source, "to": self.target, **values, "whole": whole, "step": step}


@dataclass(frozen=True)
class CompilerName:
    """Name and version of the compiler, and its CANN; a stand-in's is the generation that it plays."""

    name: str
    version: str
    cann: str = ""


@dataclass(frozen=True)
class Ledger:
    """All hops of a model, and the compiled model chosen for each chip.

    Attributes:
        source: the form that was compiled: the name of an export, or of a prepared model from outside.
        bounds: of the gate.
        images: number of images compared.
        emulated: True when a stand-in executed the compiled models, so that their times mean nothing.
        hops: exports first, then compiled models, then boards.
        chosen: chip to precision; None where no candidate passes.
        why: chip to the reason of the choice.
        compiler: of the models.
    """

    source: str
    bounds: Bounds
    images: int
    emulated: bool
    hops: tuple[Hop, ...]
    chosen: Mapping[str, str | None]
    why: Mapping[str, str]
    compiler: CompilerName

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Ledger:
        """Read the JSON form: `ledger.json` of a run, `parity.json` of a release."""
        values = dict(value)
        bounds, compiler = Bounds(**values.pop("bounds")), CompilerName(**values.pop("compiler"))
        hops = tuple(Hop.from_json(hop) for hop in values.pop("hops"))
        return cls(bounds=bounds, compiler=compiler, hops=hops, **values)

    def to_json(self) -> dict[str, Any]:
        """Write the JSON form."""
        nested = {"bounds": asdict(self.bounds), "compiler": asdict(self.compiler)}
        return {**vars(self), **nested, "hops": [hop.to_json() for hop in self.hops]}

    def chosen_hop(self, soc_version: str) -> Hop:
        """The hop of the model chosen for a chip.

        Raises:
            KeyError, StopIteration: nothing was compiled or nothing passes for that chip.
        """
        precision = self.chosen[soc_version]
        return next(hop for hop in self.hops if (hop.soc_version, hop.precision) == (soc_version, precision))

    def with_hop(self, hop: Hop) -> Ledger:
        """The ledger with one more hop."""
        return replace(self, hops=(*self.hops, hop))
