"""The state of a challenge: what is known of champion and challenger, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from tasks.retrain.reasons import ReasonKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.champions import Champion
    from tasks.engine.gates import Decision
    from tasks.retrain.drift import BoardDrift
    from tasks.retrain.evaluation import Evaluation
    from tasks.retrain.gates import Trial
    from tasks.retrain.reasons import Reason

Side = Literal["champion", "challenger"]
SIDES: tuple[Side, ...] = ("champion", "challenger")


class Outcome(StrEnum):
    """The end of a challenge; the value is the name of the flow run's final state."""

    INTERRUPTED = "Interrupted"
    NOTHING_TO_DO = "Nothing to do"
    WAITING = "Waits for approval"
    NOT_PROMOTED = "Not promoted"
    PROMOTED = "Promoted"


class Gate(StrEnum):
    """The gates of a challenge, in their order; the value is the title."""

    DECIDED_BEFORE = "decided before"
    ACCURACY = "accuracy"
    MCNEMAR = "McNemar's test"
    MAJORITY = "majority of the seeds"
    RECALL = "recall of each class"
    ROBUSTNESS = "robustness"
    PARITY = "parity"
    PROVENANCE = "as real as the champion"


@dataclass(frozen=True)
class GateResult:
    """The decision of one gate."""

    gate: Gate
    decision: Decision


@dataclass
class Challenge:
    """What is known of a challenge so far.

    Attributes:
        champion: the present champion; None before the first promotion.
        boards: the drift of the boards that run it.
        reasons: why it is challenged.
        trainings: keys of the challengers' trainings.
        checkpoint: SHA-256 of the challenger's checkpoint, once it is trained.
        trials: the trainings compared with the champion; empty without a champion.
        evaluations: of both models.
        robustness: mean accuracy on each corruption, of both models.
        gates: the decisions so far.
        outcome: the end, or `INTERRUPTED`.
        explanation: of the outcome, in a sentence.
    """

    champion: Champion | None
    boards: Sequence[BoardDrift] = ()
    reasons: Sequence[Reason] = ()
    trainings: Sequence[str] = ()
    checkpoint: str = ""
    trials: list[Trial] = field(default_factory=list)
    evaluations: dict[Side, Evaluation] = field(default_factory=dict)
    robustness: dict[Side, Mapping[str, float]] = field(default_factory=dict)
    gates: list[GateResult] = field(default_factory=list)
    outcome: Outcome = Outcome.INTERRUPTED
    explanation: str = "an error ended it; the run has the details"

    @property
    def over(self) -> str:
        """The release that the challenger is compared with; empty for none."""
        return self.champion.release if self.champion else ""

    @property
    def requested(self) -> bool:
        """True when a person requested the challenge."""
        return any(reason.kind == ReasonKind.REQUEST for reason in self.reasons)

    @property
    def refused(self) -> GateResult | None:
        """The gate that refused the challenger."""
        return next((result for result in self.gates if not result.decision.ok), None)

    def why(self) -> str:
        """Why the challenger won: the reasons of the challenge and the results of the comparison."""
        reasons = [reason.text for reason in self.reasons]
        results = [result.decision.reason for result in self.gates if result.gate in (Gate.ACCURACY, Gate.MCNEMAR)]
        return "; ".join((*reasons, *results))
