"""Maintenance: the chores of `tasks/maintenance.py`, each as a task, by schedule or on request."""

from typing import Any, Literal

from prefect import State, flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from pydantic import Field

from flows.context import open_chain
from flows.requests import Target, current_request
from infra.errors import Refused
from tasks.engine.reporter import reporter
from tasks.maintenance import CHORES, ChoreResult, perform
from tasks.orchestration.prefect_task import FlowReporter

ChoreName = Literal["garbage", "artifacts", "unfinished-uploads", "orphan-jobs", "locks", "database"]


class MaintenanceRequest(Target):
    """Do chores."""

    chores: tuple[ChoreName, ...] = Field((), description="chores to do; empty: all")
    dry_run: bool = Field(False, description="only report what would be done")


def _name() -> str:
    request = current_request(MaintenanceRequest)
    return f"maintenance {request.profile}: {', '.join(request.chores) or 'every chore'}"[:100]


@flow(name="maintenance", flow_run_name=_name, persist_result=False)
def maintenance(request: MaintenanceRequest = MaintenanceRequest()) -> None:  # noqa: B008 - frozen
    """Remove garbage and stale locks, verify artifacts, abort unfinished uploads, find orphan jobs, vacuum."""
    chain = open_chain(request.profile, dict(request.settings), FlowReporter(reporter.get()))
    results: list[ChoreResult] = []

    def do(name: str) -> None:
        @task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
        def chore() -> State[Any]:
            results.append(perform(name, chain, dry_run=request.dry_run))
            state = Failed if results[-1].failed else Completed
            return state(message=results[-1].found)

        chore(return_state=True)

    for name in request.chores or CHORES:
        do(name)
    create_table_artifact(
        key="maintenance",
        table=[{"chore": item.chore, "found": item.found, "items": "\n".join(item.items)} for item in results],
        description="Results of maintenance" + (" (dry run)" if request.dry_run else ""),
    )
    failed = [f"{item.chore}: {item.found}" for item in results if item.failed]
    if failed:
        raise Refused(f"maintenance needs a person: {'; '.join(failed)}", hint="the table of this run has the details")
