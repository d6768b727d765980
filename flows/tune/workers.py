"""Trials as Prefect tasks on Dask workers: threads of this process, or the workers of a cluster that is there."""

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
"""Under which workers tell how far their trials are."""
_CONNECT_SECONDS = "10s"
_NAMES = {"finished": "Completed", "stopped": "Stopped early", "failed": "Cannot work", "left": "Interrupted"}
# Every Dask process has an HTTP server, which listens on all addresses unless it is told where; ours has no pages.
_LOOPBACK = "127.0.0.1:0"
_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


class _WorkerReporter:
    """Lines go to the log of the task run, progress to the process that searches."""

    def __init__(self, number: int) -> None:
        self._number = number

    def line(self, stage: str, text: str) -> None:
        """One line to read."""
        get_run_logger().info("%s: %s", stage, text)

    def progress(self, stage: str, done: float, total: float, unit: str) -> None:
        """How far the stage is."""
        from distributed import get_worker  # noqa: PLC0415 - of an extra

        said = {"trial": self._number, "stage": stage, "done": done, "total": total, "unit": unit}
        get_worker().log_event(TOPIC, said)


def _worth_another(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    return is_retryable(state.data) and not INTERRUPTED.is_set()


@task(name="trial", task_run_name="{title}", retry_condition_fn=_worth_another, cache_policy=NO_CACHE)
def trial(title: str, job: Job) -> State[Outcome]:  # noqa: ARG001 - the title names the run
    """Train and evaluate one configuration, or reuse both; hopeless trainings are stopped early."""
    from distributed import get_worker  # noqa: PLC0415 - of an extra

    chain = open_chain(job.profile, dict(job.settings), _WorkerReporter(job.number))
    with _own_cores(job.threads, get_worker().name):
        outcome = perform(chain_of(chain, job.levels), job)
    name = "Cached" if outcome.reused else _NAMES[outcome.end]
    message = outcome.reason or (f"accuracy {outcome.accuracy:.4f}" if outcome.accuracy is not None else "")
    return Completed(name=name, message=message, data=outcome)


@contextmanager
def _own_cores(threads: int, worker: Any) -> Iterator[None]:
    """Give this thread, and what it starts, the cores of its worker; with 0 threads it keeps what it has."""
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
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(settings: Settings) -> int:
    """Cores of one training; 0 when it has all, which needs nothing done."""
    wanted = settings.tune.threads
    return wanted if hasattr(os, "sched_setaffinity") and 0 < wanted < cores() else 0


@contextmanager
def workers(cluster: str, settings: Settings, reporter: Reporter) -> Iterator["DaskTaskRunner"]:
    """A task runner whose workers are there.

    Without a cluster the workers are threads of this process, as many as trainings have room for: nothing listens but
    on 127.0.0.1, where there is nothing to see, and no process is left behind, however this one ends. The trainings are
    processes of their own in any case.

    Args:
        cluster: address of a scheduler; empty for this process.
        settings: `tune.threads` says how many trainings have room.
        reporter: hears how far the trials are.

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
        client.subscribe_topic(TOPIC, lambda event: _tell(event[1], reporter))  # type: ignore[no-untyped-call]
        yield runner


def worker_count(runner: "DaskTaskRunner") -> int:
    """How many trials can be under way at once."""
    return max(1, len(runner.client.nthreads()))  # type: ignore[no-untyped-call]


def outcome_of(future: PrefectFuture[Outcome]) -> Outcome:
    """What became of a trial; trouble that may pass leaves it for another time.

    Raises:
        Transient: there are no workers any more.
        AtlasFlowError: what the trial ended with.
    """
    from distributed import KilledWorker  # noqa: PLC0415 - of an extra
    from distributed.client import FutureCancelledError  # noqa: PLC0415

    try:
        return future.result()
    except Transient as error:
        return Outcome("left", error.message)
    except KilledWorker as error:
        return Outcome("left", f"Dask workers died over it: {error}")
    except FutureCancelledError as error:
        raise Transient(
            f"the Dask cluster is gone: {error}", hint="the same command goes on when it is back"
        ) from error


def _tell(said: Any, reporter: Reporter) -> None:
    reporter.progress(f"trial {said['trial']}", said["done"], said["total"], said["unit"])
