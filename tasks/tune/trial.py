"""One trial: an ordinary cached training and its evaluation, ended early when it is hopeless or the time is over."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from infra.errors import UserError
from infra.settings.stages import TrainSettings
from infra.store.locks import hold
from infra.training_runs import TrainingRuns
from infra.world import World
from models.evaluation.objective import score
from tasks.stages import profile as tuning_cost
from tasks.tune.pruning import Pruning, objection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.ports.training import Epoch
    from infra.ports.values import LocalFile
    from tasks.engine.chain import Chain
    from tasks.engine.execution import Result

QUIET = "quiet"
"""The lock that trials share while they compute, and that a measurement of latency has alone."""
INTERRUPTED = threading.Event()
"""Set when the search ends before its trials: those of this process end at their next epoch."""

End = Literal["finished", "stopped", "failed", "left"]


@dataclass(frozen=True)
class Cost:
    """What a network costs whatever it has learnt."""

    parameters: int
    size_mb: float
    latency_ms: float

    def score(self, accuracy: float) -> float:
        """The tuning score with that accuracy (0 to 1)."""
        return score(accuracy, self.size_mb, self.latency_ms)


@dataclass(frozen=True)
class Job:
    """What a worker is told of a trial.

    Attributes:
        number: of the trial.
        profile: of the settings.
        settings: over the profile, of the whole search.
        levels: the trial's own fields of the training specification.
        epochs: of the whole training.
        cost: of its network.
        pruning: when to stop early.
        deadline: seconds since 1970 at which to stop; None: never.
        threads: cores for this trial; 0: those that the worker has.
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
    """What became of a trial.

    Attributes:
        end: `finished`; `stopped` as hopeless; `failed` for good; `left` to be gone on with another time.
        reason: in words, when it is not finished.
        accuracy: on the evaluation images, 0 to 1; None unless finished.
        curve: accuracy by epoch, as far as it came.
        seconds: what was computed took, whenever that was.
        keys: of the receipts, by stage.
        reused: nothing was computed.
    """

    end: End
    reason: str = ""
    accuracy: float | None = None
    curve: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    keys: Mapping[str, str] = field(default_factory=dict)
    reused: bool = False


class Ended(BaseException):
    """Ends a training from within; no Exception, so that trainers take it for a cancellation, as a job costs money."""

    def __init__(self, end: End, reason: str) -> None:
        super().__init__(reason)
        self.end = end
        self.reason = reason


class _JudgedWorld(World):
    """The world of a trial, in which every epoch of a training is judged."""

    def __init__(self, world: World, job: Job) -> None:
        super().__init__(world.settings, world.home, world.faults)
        self._job = job
        self.curve: dict[int, float] = {}

    def training(self) -> TrainingRuns:
        """Trainings that end early when they are hopeless; the trainer then kills their process group."""
        return _JudgedRuns(super().training(), self)

    def judge(self, event: Epoch, folder: Path) -> None:
        """Add an epoch to the curve, and end the training when it is hopeless.

        Raises:
            Ended: the training is hopeless, or the search is over.
        """
        if not self.curve:
            earlier = curve_of(folder / "history.jsonl")
            self.curve = {epoch: value for epoch, value in earlier.items() if epoch < event.epoch}
        if event.accuracy is not None:
            self.curve[event.epoch] = event.accuracy
        if event.epoch < event.epochs:
            self._judge(event.accuracy is not None)

    def _judge(self, evaluated: bool) -> None:
        job = self._job
        if INTERRUPTED.is_set():
            raise Ended("left", "the search was interrupted")
        if over(job.deadline):
            raise Ended("left", "the time was over")
        scores = {epoch: job.cost.score(accuracy) for epoch, accuracy in self.curve.items()}
        reason = objection(job.pruning, scores, job.epochs) if evaluated else None
        if reason is not None:
            raise Ended("stopped", reason)


class _JudgedRuns(TrainingRuns):
    """Trainings whose epochs a world judges."""

    def __init__(self, runs: TrainingRuns, world: _JudgedWorld) -> None:
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

        def judge(event: Epoch) -> None:
            on_epoch(event)
            self._world.judge(event, folder)

        self._runs.run(key, data, data_digest, spec, folder, judge, on_status, again=again, pretrained=pretrained)


def over(deadline: float | None) -> bool:
    """True when the time is over; `deadline` in seconds since 1970, None for never."""
    return deadline is not None and time.time() > deadline


def chain_of(chain: Chain, levels: Mapping[str, str]) -> Chain:
    """The chain of a trial: as `chain`, with its levels, and with the stage that measures what its network costs."""
    train = TrainSettings.model_validate({**chain.settings.train.model_dump(), **levels})
    stages = (*chain.stages.values(), tuning_cost.STAGE)
    found = chain.with_settings(stages, chain.settings.model_copy(update={"train": train}))
    found.known.update(chain.known)
    return found


def perform(chain: Chain, job: Job) -> Outcome:
    """Train and evaluate, or reuse both.

    A training that is ended early leaves no receipt; what it has done is kept, so that a later one goes on from there.

    Args:
        chain: of the trial.
        job: the trial.

    Raises:
        AtlasFlowError: something that is no fault of this trial.
    """
    world = _JudgedWorld(chain.world, job)
    chain.world = world
    with hold(chain.home / "locks" / QUIET, shared=True):
        chain.run(chain.stages["download"])
        try:
            training = chain.run(chain.stages["train"])
            evaluation = chain.run(chain.stages["evaluate"])
        except Ended as ended:
            return Outcome(ended.end, ended.reason, curve=world.curve)
        except UserError as error:  # such as a loss that is no number any more
            return Outcome("failed", error.message, curve=world.curve)
    metrics = json.loads(chain.store.path(evaluation.receipt.outputs["metrics"]).read_text(encoding="utf-8"))
    return Outcome(
        "finished",
        accuracy=float(metrics["accuracy"]),
        curve=curve_of(chain.store.path(training.receipt.outputs["events"])),
        seconds=training.receipt.seconds + evaluation.receipt.seconds,
        keys={result.receipt.stage: result.receipt.key for result in (training, evaluation)},
        reused=_reused(training, evaluation),
    )


def cost_of(chain: Chain) -> Cost:
    """What the network of a chain costs; its stage `profile` is fresh."""
    receipt = chain.known[tuning_cost.STAGE.name]
    found = json.loads(chain.store.path(receipt.outputs["profile"]).read_text(encoding="utf-8"))
    return Cost(int(found["parameters"]), float(found["size_mb"]), float(found["latency_ms"]["mean"]))


def curve_of(history: Path) -> dict[int, float]:
    """Accuracy by epoch from a `history.jsonl`; empty when there is none."""
    if not history.is_file():
        return {}
    rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    return {int(row["epoch"]): float(row["accuracy"]) for row in rows if row.get("accuracy") is not None}


def _reused(*results: Result) -> bool:
    return all(result.reused for result in results)
