"""Stages as Prefect tasks. Receipts decide what runs, not Prefect's cache; a reused stage ends in the state `Cached`.

The tasks are closures without parameters, so Prefect neither searches their inputs for futures nor sends them to the
server.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect import State, Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Completed, Failed

from infra.errors import GateFailed
from infra.retry import JITTER, delays, is_retryable
from infra.settings import Settings
from tasks.aim import track
from tasks.engine.chain import Chain
from tasks.engine.execution import Result
from tasks.engine.gates import Decision
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter, Stage
from tasks.orchestration.events import STOPPED, emit_fallback, report_fallen_boards
from tasks.orchestration.limits import board_limits, holding, training_limit
from tasks.orchestration.progress import ProgressArtifact

LIMITS: Mapping[str, Callable[[Settings], Mapping[str, int]]] = {
    "train": training_limit,
    "deploy": lambda settings: board_limits(settings.deploy.boards),
}
"""Stage to the concurrency limits of which it holds a slot while it runs."""


class FlowReporter:
    """Forwards everything, and writes the lines to the log of the flow run."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner

    def line(self, stage: str, text: str) -> None:
        """Log one line."""
        get_run_logger().info("%s: %s", stage, text)
        self._inner.line(stage, text)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Forward the progress; it changes too often for a log."""
        self._inner.progress(stage, done, total, unit)


def run_stage(chain: Chain, stage: Stage, *, force: bool = False, title: str = "") -> Result:
    """Run or reuse a stage as a Prefect task of the current flow run.

    A `Transient` error that was not retried below is retried with growing delays; every other error ends the task.
    """
    results: list[Result] = []
    retry_delays = delays(chain.settings.retry)

    @task(
        name=stage.name,
        task_run_name=title or stage.name,
        description=(stage.run.__doc__ or "").strip(),
        retries=len(retry_delays),
        retry_delay_seconds=retry_delays,
        retry_jitter_factor=JITTER,
        retry_condition_fn=_is_retryable,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def stage_task() -> State[None]:
        limits = LIMITS[stage.name](chain.settings) if stage.name in LIMITS else {}
        with _shown(chain, stage.name) as artifact, _reporting_fallbacks(chain, stage.name) as report_earlier:

            @contextmanager
            def on_run() -> Iterator[None]:
                with holding(limits, chain.home, lambda text: artifact.line(stage.name, text)):
                    report_earlier()
                    yield

            result = chain.run(stage, force=force, on_run=on_run)
            artifact.done(result.note)
        results.append(result)
        message = f"{result.reason}; {result.note}" if result.note else str(result.reason)
        return Completed(name="Cached" if result.reused else "Completed", message=message)

    stage_task()
    result = results[-1]
    if stage.name == "train":
        track(chain, result.receipt, FlowReporter(reporter.get()))
    return result


def stopped(error: GateFailed) -> State[None]:
    """The state of a run that a gate stopped: it ends the run as a failure does, and is told apart from one."""
    return Failed(name=STOPPED, message=str(error), data=error)


def pass_gate(name: str, decision: Decision) -> None:
    """Show a gate's decision as a Prefect task.

    Raises:
        GateFailed: the decision was no.
    """
    failure = GateFailed(f"gate {name}: {decision.reason}", hint=decision.hint)

    @task(name=f"gate: {name}", task_run_name=f"gate: {name}", cache_policy=NO_CACHE, persist_result=False)
    def gate_task() -> State[None]:
        if not decision.ok:
            return stopped(failure)
        return Completed(name="Passed", message=decision.reason)

    gate_task()
    if not decision.ok:  # a task that returns a failed state does not raise
        raise failure


@contextmanager
def _shown(chain: Chain, name: str) -> Iterator[ProgressArtifact]:
    """Show the progress of a stage in the Prefect UI as well."""
    before = chain.reporter
    with ProgressArtifact(name, before) as shown:
        chain.reporter = shown
        try:
            yield shown
        finally:
            chain.reporter = before


@contextmanager
def _reporting_fallbacks(chain: Chain, name: str) -> Iterator[Callable[[], None]]:
    """Emit an event for each board that falls back during a deployment; yields a function that reports earlier ones."""
    boards = chain.settings.deploy.boards if name == "deploy" else ()
    try:
        yield lambda: report_fallen_boards(chain, boards)
    except GateFailed as error:  # the smoke test failed: the board keeps, or went back to, its previous release
        if error.board in boards:
            emit_fallback(error.board, "", f"{error.message}; {error.hint}")
        raise


def _is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return is_retryable(state.data)
