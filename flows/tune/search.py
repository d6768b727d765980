"""The loop of a search: ask the study for trials, submit them to workers, and record their outcomes."""

from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
from prefect.futures import PrefectFuture, as_completed

from flows.pipeline import run_one
from flows.requests import TuneRequest
from flows.tune.workers import outcome_of, threads_of, trial, worker_count, workers
from infra.errors import UserError
from infra.retry import JITTER, delays
from infra.store.locks import hold
from infra.store.runs import Outcome as Ended
from infra.store.runs import RunRecord, StageRecord
from tasks.aim import track
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter as current_reporter
from tasks.engine.stage import Reporter
from tasks.orchestration.limits import holding, training_limit
from tasks.specs import network_settings, recipe_settings
from tasks.stages.profile import STAGE as PROFILE
from tasks.tune.pruning import Pruning
from tasks.tune.study import Study, Trial
from tasks.tune.trial import INTERRUPTED, QUIET, Cost, Job, Outcome, chain_of, cost_of, over

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

STAGE = "tune"
_LOOK_SECONDS, _BUSY_PERCENT = 0.3, 25.0


class SearchRun:
    """One search, from its first trial to its last; interrupted trials come first.

    Args:
        chain: its data set is known.
        request: of the search.
        study: records the trials.
        record: of the run; gets the receipts of the trials.
        reporter: receives lines and progress.
        limit: number of configurations in total; None for all.
        deadline: seconds since 1970 at which the search ends; None for never.
    """

    def __init__(
        self,
        chain: Chain,
        request: TuneRequest,
        study: Study,
        record: RunRecord,
        reporter: Reporter,
        *,
        limit: int | None,
        deadline: float | None,
    ) -> None:
        self._chain = chain
        self._request = request
        self._study = study
        self._record = record
        self._reporter = reporter
        self._limit = limit
        self._deadline = deadline
        self._interrupted = deque(study.under_way())
        self._stack = ExitStack()
        self._runner: DaskTaskRunner | None = None

    def run(self) -> None:
        """Search until the space, the number of trials or the time is exhausted.

        Raises:
            AtlasFlowError: an error that no single trial caused.
        """
        INTERRUPTED.clear()
        known = sum(trial.outcome is not None for trial in self._study.trials())
        if known:
            self._reporter.line(STAGE, f"{known} trials are finished from earlier searches")
        running: dict[PrefectFuture[Any], Trial] = {}
        with self._stack:
            try:
                while True:
                    while len(running) < self._room() and (asked := self._next()) is not None:
                        running[self._submit(asked)] = asked
                    if not running:
                        return
                    done = next(as_completed(list(running)))
                    self._finish(running.pop(done), done)
            except BaseException:
                INTERRUPTED.set()
                raise

    def _room(self) -> int:
        return 1 if self._runner is None else worker_count(self._runner)

    def _next(self) -> Trial | None:
        """The next trial with a valid specification; None when there is none, or no time left."""
        while not over(self._deadline):
            asked = self._interrupted.popleft() if self._interrupted else self._ask()
            if asked is None:
                return None
            prepared = self._prepared(asked)
            if prepared is not None:
                return prepared
        return None

    def _ask(self) -> Trial | None:
        tried = sum(bool(known.spec) for known in self._study.trials())
        return None if self._limit is not None and tried >= self._limit else self._study.ask()

    def _prepared(self, asked: Trial) -> Trial | None:
        """Add the specification and the cost of the network; None when the levels contradict each other."""
        chain = chain_of(self._chain, asked.levels)
        try:
            spec = recipe_settings(chain.settings)
        except UserError as error:
            self._study.note(replace(asked, outcome=Outcome("failed", error.message)))
            self._reporter.line(STAGE, f"trial {asked.number} is not valid: {error.message}")
            return None
        prepared = replace(asked, spec=spec, cost=self._cost(chain))
        self._study.note(prepared)
        return prepared

    def _cost(self, chain: Chain) -> Cost:
        """The cost of a network, measured once in a study, while no trial of this home computes."""
        network = network_settings(chain.settings)
        for known in self._study.trials():
            if known.cost is not None and all(known.spec.get(name) == value for name, value in network.items()):
                return known.cost
        self._begin()
        waiting = "waiting until no trial computes, to measure a latency"
        with hold(chain.home / "locks" / QUIET, lambda: self._reporter.line(STAGE, waiting)):
            if chain.look(PROFILE).receipt is None:
                self._warn_when_busy()
            run_one(chain, PROFILE.name, self._record, title=f"profile {network['network']}")
        return cost_of(chain)

    def _warn_when_busy(self) -> None:
        """Warn when other processes may inflate the latency."""
        busy = psutil.cpu_percent(interval=_LOOK_SECONDS)
        if busy > _BUSY_PERCENT:
            self._reporter.line(STAGE, f"other processes use {busy:.0f} % of the processor: latencies will be too high")

    def _begin(self) -> "DaskTaskRunner":
        """Take the training slot, so that nothing else of this installation trains, and get workers."""
        if self._runner is None:
            settings = self._chain.settings
            limits = training_limit(settings)
            self._stack.enter_context(holding(limits, self._chain.home, lambda text: self._reporter.line(STAGE, text)))
            self._runner = self._stack.enter_context(workers(self._request.cluster, settings, current_reporter.get()))
        return self._runner

    def _submit(self, asked: Trial) -> PrefectFuture[Any]:
        assert asked.cost is not None  # noqa: S101 - `_prepared` measured it
        settings, request = self._chain.settings, self._request
        job = Job(
            number=asked.number,
            profile=request.profile,
            settings=dict(request.settings),
            levels=dict(asked.levels),
            epochs=int(asked.spec["epochs"]),
            cost=asked.cost,
            pruning=Pruning(
                settings.tune.prune,
                settings.tune.prune_after,
                settings.tune.prune_warmup,
                self._curves(int(asked.spec["epochs"])),
            ),
            deadline=self._deadline,
            threads=0 if request.cluster else threads_of(settings),
        )
        retry_delays = delays(settings.retry)
        ready = trial.with_options(
            retries=len(retry_delays), retry_delay_seconds=retry_delays, retry_jitter_factor=JITTER
        )
        title = f"trial {asked.number}: {' '.join(asked.levels.values())}"
        self._reporter.line(STAGE, f"{title} starts")
        found: PrefectFuture[Any] = self._begin().submit(ready, {"title": title, "job": job})
        return found

    def _curves(self, epochs: int) -> tuple[dict[int, float], ...]:
        """Scores by epoch of the trainings that a new one is compared with."""
        ends = {"finished"} if self._chain.settings.tune.prune == "median" else {"finished", "stopped"}
        return tuple(
            {epoch: known.cost.score(accuracy) for epoch, accuracy in known.outcome.curve.items()}
            for known in self._study.trials()
            if known.cost and known.outcome and known.outcome.end in ends and known.spec["epochs"] == epochs
        )

    def _finish(self, asked: Trial, future: PrefectFuture[Any]) -> None:
        """Record the outcome of a trial."""
        outcome = outcome_of(future)
        done = replace(asked, outcome=outcome)
        self._study.note(done)
        what: Ended = "reused" if outcome.reused else "ran"
        for stage, key in outcome.keys.items():
            note = f"trial {asked.number}"
            self._record.stages.append(StageRecord(stage, key, what, note, outcome.seconds, note))
        training = self._chain.receipts.load("train", outcome.keys["train"]) if "train" in outcome.keys else None
        if training is not None:
            track(self._chain, training, self._reporter)
        self._reporter.line(STAGE, f"trial {asked.number}: {_summary(done)}")
        ended = sum(known.outcome is not None for known in self._study.trials())
        self._reporter.progress(STAGE, ended, self._limit or self._study.size or ended, "trials")


def _summary(done: Trial) -> str:
    assert done.outcome is not None  # noqa: S101 - set by the caller
    if done.score is None:
        return f"{done.outcome.end}: {done.outcome.reason}"
    accuracy = 100 * (done.outcome.accuracy or 0.0)
    return f"{'cached, ' if done.outcome.reused else ''}accuracy {accuracy:.2f} %, score {done.score:.2f}"
