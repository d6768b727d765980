"""One trial: a cached training and its evaluation, stopped early by the pruning rule or the deadline."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from infra.errors import UserError
from infra.settings.stages import TrainSettings
from infra.store.locks import hold
from infra.training_runs import TrainingRuns
from infra.world import World
from models.evaluation.objective import score
from tasks.stages import profile
from tasks.tune.pruning import Pruning, reason_to_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.ports.training import Epoch
    from infra.ports.values import LocalFile
    from tasks.engine.chain import Chain

QUIET = "quiet"
"""Lock that trials share while they compute, and that a latency measurement holds exclusively."""
INTERRUPTED = threading.Event()
"""Set when the search ends before its trials: trials of this process then end at their next epoch."""

End = Literal["finished", "stopped", "failed", "left"]


@dataclass(frozen=True)
class Cost:
    """Cost of a network; independent of its training.

    Attributes:
        parameters: how many.
        size_mb: of its parameters.
        latency_ms: mean of one image.
    """

    parameters: int
    size_mb: float
    latency_ms: float

    def score(self, accuracy: float) -> float:
        """Compute the tuning score for an accuracy (0 to 1)."""
        return score(accuracy, self.size_mb, self.latency_ms)


@dataclass(frozen=True)
class Job:
    """A trial as it is sent to a worker.

    Attributes:
        number: of the trial.
        profile: of the settings.
        settings: over the profile, of the whole search.
        levels: the trial's own fields of the training specification.
        epochs: of the whole training.
        cost: of its network.
        pruning: when to stop early.
        deadline: seconds since 1970 at which to stop; None: never.
        threads: cores for this trial; 0: all cores of the worker.
    """

    number: int
    profile: str
    settings: Mapping[str, str]
    levels: Mapping[str, str]
    epochs: int
    cost: Cost
    pruning: Pruning = field(default_factory=Pruning)
    deadline: float | None = None
    threads: int = 0


@dataclass(frozen=True)
class Outcome:
    """The result of a trial.

    Attributes:
        end: `finished`; `stopped` by the pruning rule; `failed` for good; `left` to be continued another time.
        reason: why it is not finished, in words.
        accuracy: on the evaluation images, 0 to 1; None unless finished.
        curve: accuracy by epoch, as far as it was trained.
        seconds: computing time, also when the result is reused.
        keys: of the receipts, by stage.
        reused: True when nothing was computed.
    """

    end: End
    reason: str = ""
    accuracy: float | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    keys: Mapping[str, str] = field(default_factory=dict)
    reused: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """Read what `dataclasses.asdict` wrote as JSON, which has texts as keys."""
        return cls(**{**value, "curve": {int(epoch): accuracy for epoch, accuracy in value["curve"].items()}})


class TrialEnded(BaseException):
    """Ends a training from within. It is no `Exception`, so that trainers cancel the job, which costs money."""

    def __init__(self, end: End, reason: str) -> None:
        super().__init__(reason)
        self.end = end
        self.reason = reason


class _PruningWorld(World):
    """The world of a trial, which checks every epoch of a training."""

    def __init__(self, world: World, job: Job) -> None:
        super().__init__(world.settings, world.home, world.faults)
        self._job = job
        self.curve: dict[int, float] = {}

    def training(self) -> TrainingRuns:
        """Trainings that may end early; the trainer then kills their process group."""
        return _PrunedRuns(super().training(), self)

    def add_epoch(self, event: Epoch, folder: Path) -> None:
        """Add an epoch to the curve, and end the training when the pruning rule or the search ends it.

        Raises:
            TrialEnded: the rule stops the training, or the search is over.
        """
        if not self.curve:
            earlier = curve_of(folder / "history.jsonl")
            self.curve = {epoch: value for epoch, value in earlier.items() if epoch < event.epoch}
        if event.accuracy is not None:
            self.curve[event.epoch] = event.accuracy
        if event.epoch < event.epochs:
            self._check(event.accuracy is not None)

    def _check(self, evaluated: bool) -> None:
        job = self._job
        if INTERRUPTED.is_set():
            raise TrialEnded("left", "the search was interrupted")
        if over(job.deadline):
            raise TrialEnded("left", "the time was over")
        scores = {epoch: job.cost.score(accuracy) for epoch, accuracy in self.curve.items()}
        reason = reason_to_stop(job.pruning, scores, job.epochs) if evaluated else None
        if reason is not None:
            raise TrialEnded("stopped", reason)


class _PrunedRuns(TrainingRuns):
    """Trainings that a world checks after each epoch."""

    def __init__(self, runs: TrainingRuns, world: _PruningWorld) -> None:
        self._runs = runs
        self._world = world

    def run(
        self,
        key: str,
        data: Path,
        data_digest: str,
        spec: Mapping[str, object],
        folder: Path,
        on_epoch: Callable[[Epoch], None],
        on_status: Callable[[str], None],
        *,
        again: bool = False,
        pretrained: LocalFile | None = None,
    ) -> None:
        """Train, and judge each epoch."""

        def check_epoch(event: Epoch) -> None:
            on_epoch(event)
            self._world.add_epoch(event, folder)

        self._runs.run(key, data, data_digest, spec, folder, check_epoch, on_status, again=again, pretrained=pretrained)


def over(deadline: float | None) -> bool:
    """True after the deadline, which is in seconds since 1970; None for never."""
    return deadline is not None and time.time() > deadline


def chain_of(chain: Chain, levels: Mapping[str, str]) -> Chain:
    """Build the chain of a trial: `chain` with the trial's levels, and with the stage `profile`."""
    train = TrainSettings.model_validate({**chain.settings.train.model_dump(), **levels})
    stages = (*chain.stages.values(), profile.STAGE)
    found = chain.with_settings(stages, chain.settings.model_copy(update={"train": train}))
    found.known.update(chain.known)
    return found


def perform(chain: Chain, job: Job) -> Outcome:
    """Train and evaluate, or reuse both.

    A training that ends early leaves no receipt. Its checkpoints stay, and a later training continues from them.

    Args:
        chain: of the trial.
        job: the trial.

    Raises:
        AtlasFlowError: an error that this trial did not cause.
    """
    world = _PruningWorld(chain.world, job)
    chain.world = world
    with hold(chain.home / "locks" / QUIET, shared=True):
        chain.run(chain.stages["download"])
        try:
            training = chain.run(chain.stages["train"])
            evaluation = chain.run(chain.stages["evaluate"])
        except TrialEnded as ended:
            return Outcome(ended.end, ended.reason, curve=world.curve)
        except UserError as error:  # such as a loss that is NaN
            return Outcome("failed", error.message, curve=world.curve)
    metrics = json.loads(chain.store.path(evaluation.receipt.outputs["metrics"]).read_text(encoding="utf-8"))
    return Outcome(
        "finished",
        accuracy=float(metrics["accuracy"]),
        curve=curve_of(chain.store.path(training.receipt.outputs["events"])),
        seconds=training.receipt.seconds + evaluation.receipt.seconds,
        keys={result.receipt.stage: result.receipt.key for result in (training, evaluation)},
        reused=training.reused and evaluation.reused,
    )


def cost_of(chain: Chain) -> Cost:
    """Read the cost of a chain's network; its stage `profile` is fresh."""
    receipt = chain.known[profile.STAGE.name]
    found = json.loads(chain.store.path(receipt.outputs["profile"]).read_text(encoding="utf-8"))
    return Cost(int(found["parameters"]), float(found["size_mb"]), float(found["latency_ms"]["mean"]))


def curve_of(history: Path) -> dict[int, float]:
    """Read accuracy by epoch from a `history.jsonl`; empty when there is no such file."""
    if not history.is_file():
        return {}
    rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    return {int(row["epoch"]): float(row["accuracy"]) for row in rows if row.get("accuracy") is not None}
