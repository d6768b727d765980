"""Demotion: make a former champion the champion again, and roll its release out."""

from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.requests import DemoteRequest, current_request
from flows.retrain.effects import Effects
from flows.retrain.flow import NO_REASON, UNNAMED_PERSON
from flows.retrain.promotion import STAGE, roll_out
from infra.champions import RegistryState
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.orchestration.prefect_task import FlowReporter


def _name() -> str:
    return f"demote to {current_request(DemoteRequest).to or 'the predecessor'}"


@flow(name="demote", flow_run_name=_name, persist_result=False)
def demote(request: DemoteRequest = DemoteRequest()) -> State[Any]:  # noqa: B008 - frozen
    """Make a former champion, by default the predecessor, champion again, and give the boards its release."""
    # Prefect keeps the scheduled start of the first try when a run is tried again.
    retry_of = flow_run.scheduled_start_time.timestamp() if flow_run.run_count > 1 else None
    return run_demotion(request, FlowReporter(reporter.get()), Effects(), retry_of=retry_of)


def run_demotion(
    request: DemoteRequest, reporter: Reporter, effects: Effects, *, retry_of: float | None = None
) -> State[Any]:
    """Demote the champion, and start the rollout.

    Args:
        request: of the flow run.
        reporter: shows progress.
        effects: on the world.
        retry_of: for a run that is tried again, the start of its first try in seconds since 1970.

    Returns:
        The final state.
    """
    chain = effects.open_chain(request, reporter)
    registry = effects.registry(chain)
    before = registry.read()
    who, why = request.who or UNNAMED_PERSON, request.reason or NO_REASON
    demoted = _already_demoted(before, request, (who, why), retry_of)
    if demoted and before.champion is not None:
        champion = before.champion
    else:
        champion = effects.demotion_target(chain, before, request.to)
        assert before.champion is not None  # noqa: S101 - `demotion_target` has refused this case
        demoted = before.champion.release
        pending = chain.settings.retrain.rollout != "none"
        registry.demote(champion.release, who, why, of=demoted, pending=pending)
        effects.emit_event("demoted", before.champion, champion, who, why)
    message = f"release {champion.release} is champion again, in place of {demoted}: {why}"
    reporter.line(STAGE, message)
    older = request.model_copy(update={"settings": {**request.settings, "deploy.allow_downgrade": "true"}})
    roll_out(effects.rollout(chain, champion, older), registry, reporter, on_stop="stay")
    return Completed(name="Demoted", message=message)


def _already_demoted(
    state: RegistryState, request: DemoteRequest, who_and_why: tuple[str, str], retry_of: float | None
) -> str:
    """Find the release that an earlier try of this run has demoted; empty when there is none.

    Then only the rollout is left: demoting again would go back one champion too far.
    """
    last = state.history[-1] if state.history else None
    if retry_of is None or last is None or last.kind != "demoted" or (last.who, last.why) != who_and_why:
        return ""
    return last.about if request.to in ("", last.champion) and last.when >= retry_of else ""
