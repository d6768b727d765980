"""Gates: pure decisions that can stop the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.release.ledger import Hop, Ledger

TRAIN_BETTER = "train better, or lower the bound if it is wrong"
LOOK_AT_PARITY = (
    "look at the ledger (latest/convert/parity.csv); name a precision that keeps more in convert.precisions, "
    "or lower convert.min_agreement or raise convert.max_accuracy_drop if the bound is wrong"
)


@dataclass(frozen=True)
class Decision:
    """The decision of a gate: pass or fail, why, its numbers, and what to do when it fails."""

    ok: bool
    reason: str
    numbers: Mapping[str, float]
    hint: str = TRAIN_BETTER


def accuracy_gate(accuracy: float, least: float) -> Decision:
    """Require an accuracy (0 to 1) of at least `least` on the evaluation images."""
    ok = accuracy >= least
    word = "reaches" if ok else "is below"
    reason = f"accuracy {accuracy:.4f} {word} evaluate.min_accuracy {least:.4f}"
    return Decision(ok, reason, {"accuracy": accuracy, "min_accuracy": least})


def parity_gate(ledger: Ledger) -> Decision:
    """Require that the compiled export, and one compiled model for each chip, compute what the checkpoint computes."""
    numbers = {hop.target: hop.whole.agreement for hop in ledger.hops if hop.whole is not None}
    exports = [hop for hop in ledger.hops if not hop.soc_version and hop.target == ledger.source]
    refused = [hop for hop in exports if hop.objection is not None]
    for soc, precision in ledger.chosen.items():
        if precision is None:
            refused += [hop for hop in ledger.hops if hop.soc_version == soc]
    if refused:
        reason = "; ".join(f"{hop.source} → {hop.target}: {hop.objection}" for hop in refused)
        return Decision(False, reason, numbers, LOOK_AT_PARITY)
    return Decision(True, "; ".join(_passing(ledger.chosen_hop(soc)) for soc in ledger.chosen), numbers, LOOK_AT_PARITY)


def _passing(hop: Hop) -> str:
    if hop.whole is None:
        return f"{hop.target} is not compared here ({hop.reason})"
    return f"{hop.target} agrees on {hop.whole.agreement:.4f} of {hop.whole.images:,} images"
