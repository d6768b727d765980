"""Trials as Prefect tasks on Dask workers: threads of this process, or the workers of an existing cluster."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from prefect import State, Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture
from prefect.states import Completed

from flows.context import open_chain
from infra.errors import Transient
from infra.retry import is_retryable
from infra.settings import Settings
from tasks.engine.stage import Reporter
from tasks.tune.trial import INTERRUPTED, Job, Outcome, chain_of, perform

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

TOPIC = "atlasflow-tune"
"""Topic of the workers' progress events."""
_CONNECT_SECONDS = "10s"
_NAMES = {"finished": "Completed", "stopped": "Stopped early", "failed": "Cannot work", "left": "Interrupted"}
# Every Dask process has an HTTP server, which by default listens on all addresses; these have no pages.
_LOOPBACK = "127.0.0.1:0"
_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


class _WorkerReporter:
    """Sends lines to the log of the task run, and progress to the process that searches."""

    def __init__(self, number: int) -> None:
        self._number = number

    def line(self, stage: str, text: str) -> None:
        """Log a line."""
        get_run_logger().info("%s: %s", stage, text)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """Send the progress of the stage."""
        from distributed import get_worker  # noqa: PLC0415 - of an extra

        said = {"trial": self._number, "stage": stage, "done": done, "total": total, "unit": unit}
        get_worker().log_event(TOPIC, said)


def _is_worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return is_retryable(state.data) and not INTERRUPTED.is_set()


@task(name="trial", task_run_name="{title}", retry_condition_fn=_is_worth_retrying, cache_policy=NO_CACHE)
def trial(title: str, job: Job) -> State[Outcome]:  # noqa: ARG001 - the title names the run
    """Train and evaluate one configuration, or reuse both; the pruning rule may stop it early."""
    from distributed import get_worker  # noqa: PLC0415 - of an extra

    chain = open_chain(job.profile, dict(job.settings), _WorkerReporter(job.number))
    with _own_cores(job.threads, get_worker().name):
        outcome = perform(chain_of(chain, job.levels), job)
    name = "Cached" if outcome.reused else _NAMES[outcome.end]
    message = outcome.reason or (f"accuracy {outcome.accuracy:.4f}" if outcome.accuracy is not None else "")
    return Completed(name=name, message=message, data=outcome)


@contextmanager
def _own_cores(threads: int, worker: Any) -> Iterator[None]:
    """Pin this thread, and what it starts, to the cores of its worker; with 0 threads nothing changes."""
    if not threads:
        yield
        return
    cores = sorted(os.sched_getaffinity(os.getpid()))
    first = int(worker) * threads
    os.sched_setaffinity(0, cores[first : first + threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(settings: Settings) -> int:
    """Number of cores of one training; 0 when it uses all."""
    wanted = settings.tune.threads
    return wanted if hasattr(os, "sched_setaffinity") and 0 < wanted < cores() else 0


@contextmanager
def workers(cluster: str, settings: Settings, reporter: Reporter) -> Iterator["DaskTaskRunner"]:
    """Start a task runner and wait for its workers.

    Without a cluster the workers are threads of this process, as many as trainings fit: they listen on 127.0.0.1 only,
    and no process remains when this one ends. Trainings are separate processes in any case.

    Args:
        cluster: address of a scheduler; empty for this process.
        settings: `tune.threads` decides how many trainings fit.
        reporter: receives the progress of the trials.

    Raises:
        Transient: nothing answers at the address, or there is no worker.
    """
    import dask  # noqa: PLC0415 - of an extra
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415

    if cluster:
        runner = DaskTaskRunner(address=cluster, client_kwargs={"timeout": _CONNECT_SECONDS})
    else:
        runner = DaskTaskRunner(
            cluster_kwargs={
                "processes": False,
                "n_workers": max(1, cores() // (threads_of(settings) or cores())),
                "threads_per_worker": 1,
                "memory_limit": None,
                "dashboard_address": _LOOPBACK,
                "worker_dashboard_address": _LOOPBACK,
                "scheduler_kwargs": {"dashboard": False},
                "silence_logs": logging.ERROR,
            }
        )
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_NO_PAGES))
        stack.enter_context(runner)
        try:
            client = runner.client
        except OSError as error:
            raise Transient(f"no Dask scheduler answers at {cluster}: {error}", hint="is it running?") from error
        if not client.nthreads():  # type: ignore[no-untyped-call]
            raise Transient(f"the Dask cluster at {cluster} has no worker", hint=f"`dask worker {cluster}` starts one")
        client.subscribe_topic(TOPIC, lambda event: _report(event[1], reporter))  # type: ignore[no-untyped-call]
        yield runner


def worker_count(runner: "DaskTaskRunner") -> int:
    """Number of trials that can run at once."""
    return max(1, len(runner.client.nthreads()))  # type: ignore[no-untyped-call]


def outcome_of(future: PrefectFuture[Outcome]) -> Outcome:
    """Get the outcome of a trial; after a transient error it is left for another time.

    Raises:
        Transient: the workers are gone.
        AtlasFlowError: raised by the trial.
    """
    from distributed import KilledWorker  # noqa: PLC0415 - of an extra
    from distributed.client import FutureCancelledError  # noqa: PLC0415

    try:
        return future.result()
    except Transient as error:
        return Outcome("left", error.message)
    except KilledWorker as error:
        return Outcome("left", f"Dask workers died while they ran it: {error}")
    except FutureCancelledError as error:
        raise Transient(f"the Dask cluster is gone: {error}", hint="run the same command again to continue") from error


def _report(said: Any, reporter: Reporter) -> None:
    reporter.progress(f"trial {said['trial']}", said["done"], said["total"], said["unit"])
