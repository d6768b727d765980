"""Workers: threads of this process that nobody else can reach, or those of a cluster, if it is there."""

import os
import threading
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest
from prefect.futures import PrefectFuture

from flows.tune import workers as trials
from flows.tune.workers import outcome_of, workers
from infra.errors import Refused, Transient
from infra.settings import load
from tasks.tune.trial import Outcome
from tests.unit.tasks.doubles import Lines

pytest.importorskip("prefect_dask", reason="the extra `tuning` is not installed")


def listening() -> Any:
    return {link.laddr for link in psutil.Process().net_connections("inet") if link.status == psutil.CONN_LISTEN}


def report_and_say_where() -> Any:
    from distributed import get_worker

    trials._WorkerReporter(3).progress("train", 2, 5, "epochs")
    with trials._own_cores(1, get_worker().name):
        return os.getpid(), get_worker().name, os.sched_getaffinity(0)


@pytest.mark.skipif(trials.cores() < 2, reason="there is only one core to share")
def test_the_workers_of_this_machine_are_threads_that_only_it_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "cores", lambda: 2)
    before, children = listening(), psutil.Process().children()
    lines, told, moved = Lines(), threading.Event(), []

    def progress(*said: object) -> None:
        moved.append(said)
        told.set()

    monkeypatch.setattr(lines, "progress", progress)
    with workers("", load(overrides={"tune.threads": "1"}), lines) as runner:
        assert trials.worker_count(runner) == 2
        client: Any = runner.client
        pid, name, cores = client.submit(report_and_say_where).result(timeout=60)
        assert told.wait(60)
        opened = listening() - before
        assert {address.ip for address in opened} <= {"127.0.0.1"}
        assert psutil.Process().children() == children
    assert (pid, moved) == (os.getpid(), [("trial 3", 2, 5, "epochs")])
    assert cores == {sorted(os.sched_getaffinity(0))[int(name)]}
    assert not listening() & opened


def test_an_address_where_nothing_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_CONNECT_SECONDS", "0.5s")
    with (
        pytest.raises(Transient, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        workers("tcp://127.0.0.1:9", load(), Lines()),
    ):
        pass


def test_without_a_wish_a_thread_keeps_its_cores() -> None:
    before = os.sched_getaffinity(0)
    with trials._own_cores(0, "any name"):
        assert os.sched_getaffinity(0) == before


def test_a_cluster_without_workers_is_not_waited_for() -> None:
    import distributed

    local_cluster: Any = distributed.LocalCluster
    alone = local_cluster(
        n_workers=0,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    )
    with (
        alone as cluster,
        pytest.raises(Transient, match="has no worker"),
        workers(cluster.scheduler_address, load(), Lines()),
    ):
        pass


class Ended:
    """A future that has an error, or an outcome."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def result(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def ended(answer: Outcome | Exception) -> PrefectFuture[Outcome]:
    return cast("PrefectFuture[Outcome]", Ended(answer))


def test_a_trial_that_no_worker_survives_is_left_and_a_lost_cluster_ends_the_search() -> None:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.scheduler import WorkerState

    done = Outcome("finished", accuracy=0.5)
    assert outcome_of(ended(done)) is done
    killed = outcome_of(ended(KilledWorker("trial 3", cast("WorkerState", SimpleNamespace(address="tcp://there")), 3)))
    assert killed.end == "left"
    assert "tcp://there" in killed.reason
    assert outcome_of(ended(Transient("the server was away"))) == Outcome("left", "the server was away")
    with pytest.raises(Transient, match="the Dask cluster is gone"):
        outcome_of(ended(FutureCancelledError("trial 3", "scheduler-connection-lost")))
    with pytest.raises(Refused):
        outcome_of(ended(Refused("the disk is full")))
