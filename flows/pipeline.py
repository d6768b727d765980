"""The pipeline: download → upload → train → evaluate → export → convert → publish → deploy, stopping at gates."""

from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile

from prefect import Flow, State, flow
from prefect.runtime import flow_run

from flows.context import open_chain
from flows.requests import RunRequest, current_request, run_name
from infra.errors import AtlasFlowError, GateFailed
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.locks import hold
from infra.store.runs import Outcome, RunRecord, Runs, StageRecord
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.orchestration.events import rename
from tasks.orchestration.prefect_task import FlowReporter, pass_gate, run_stage, stopped
from tasks.pipeline import NAMES, gate_after, select
from tasks.reports import run as run_report


def _name() -> str:
    request = current_request(RunRequest)
    whole = set(request.stages) in (set(), set(NAMES))
    return run_name("all stages" if whole else " ".join(request.stages), request)


@flow(name="pipeline", flow_run_name=_name, persist_result=False)
def pipeline(request: RunRequest = RunRequest()) -> State[None] | None:  # noqa: B008 - frozen
    """Take an image classifier from data to boards; stages that are fresh are reused."""
    return run_to_end(request)


def pipeline_of(chain: Chain) -> Flow[[RunRequest], State[None] | None]:
    """The pipeline flow over a chain that is open already, for the command that looked at it first."""

    def opened(_request: RunRequest, current: Reporter) -> Chain:
        chain.reporter = current
        return chain

    @flow(name=pipeline.name, description=pipeline.description, flow_run_name=_name, persist_result=False)
    def run(request: RunRequest) -> State[None] | None:
        return run_to_end(request, opened)

    return run


def open_request(request: RunRequest, current: Reporter) -> Chain:
    """Open the chain that a request names."""
    return open_chain(request.profile, dict(request.settings), current, select(request.stages))


def run_to_end(
    request: RunRequest, opener: Callable[[RunRequest, Reporter], Chain] = open_request
) -> State[None] | None:
    """Run the stages of a request as `run_stages`; a gate that stops them gives the flow run a state of its own."""
    try:
        run_stages(request, opener)
    except GateFailed as error:
        return stopped(error)
    return None


def run_stages(request: RunRequest, opener: Callable[[RunRequest, Reporter], Chain] = open_request) -> None:
    """Run the stages of a request inside the current flow run, and write a record and a report."""
    selected = select(request.stages)
    select(request.force)
    chain = opener(request, FlowReporter(reporter.get()))
    record = Runs(chain.home).begin(request.profile)
    record.flow_run = str(flow_run.id or "")
    record.settings = dict(request.settings)
    with hold(chain.home / "locks" / GARBAGE_LOCK, shared=True):
        _run_each(chain, selected, request, record)


def _run_each(chain: Chain, selected: tuple[str, ...], request: RunRequest, record: RunRecord) -> None:
    runs = Runs(chain.home)
    *_, last = (name for name in chain.stages if name in selected)
    before = set(takewhile(lambda name: name != last, chain.stages))
    try:
        for stage in chain.stages.values():
            if stage.name in selected:
                run_one(chain, stage.name, record, force=stage.name in request.force)
                runs.save(record)
            elif stage.name in before:
                chain.recall(stage)
            else:
                chain.look(stage)
            decision = gate_after(chain, stage.name)
            behind = NAMES[NAMES.index(stage.name) :] if stage.name in NAMES else ()
            if decision is not None and set(behind) & set(selected):
                pass_gate(stage.name, decision)
    finally:
        runs.save(record)
        run_report.publish(chain, record)
        if record.flow_run:
            name = f"{flow_run.name} {run_report.accuracy_reached(chain, record)}".rstrip()
            rename(name, tags=(chain.settings.train.recipe, request.profile))


def run_one(chain: Chain, name: str, record: RunRecord, *, force: bool = False, title: str = "") -> None:
    """Run or reuse one stage as a task of the current flow run, and note in `record` what became of it.

    Args:
        chain: whose earlier stages are known.
        name: of the stage.
        record: of the run.
        force: run it even when it is fresh.
        title: what the task is called when the name does not say enough.
    """
    stage = chain.stages[name]
    try:
        result = run_stage(chain, stage, force=force, title=title)
    except BaseException as error:
        key = ""
        with suppress(AtlasFlowError):  # the error that counts is on its way already
            key = chain.look(stage).key or ""
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        record.stages.append(StageRecord(name, key, "failed", reason, 0.0))
        raise
    outcome: Outcome = "reused" if result.reused else "ran"
    record.stages.append(
        StageRecord(name, result.receipt.key, outcome, str(result.reason), result.seconds, result.note)
    )
