"""Retraining: is there a reason? Then a challenger is trained and compared, and promoted when every gate says so."""

import time
from dataclasses import replace
from typing import Any

from prefect import State, flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.context import open_chain
from flows.pipeline import run_one
from flows.requests import DemoteRequest, RetrainRequest, requested, run_name
from flows.retrain.challenge import hold_challenge, training_of
from flows.retrain.promotion import STAGE, approval, check_rollout, release_for_boards, tell_boards
from infra.champions import Champion, Registry
from infra.champions import State as Known
from infra.errors import Corrupt, UserError
from infra.fleet import Fleet
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.locks import hold
from infra.store.runs import RunRecord, Runs
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.orchestration.events import tell_of_fallen_boards
from tasks.orchestration.prefect_task import FlowReporter
from tasks.reports import run as run_report
from tasks.retrain.champions import announce, as_champion, back_to, registry_of, release_folder, trained_by
from tasks.retrain.drift import reason as drifted
from tasks.retrain.drift import survey
from tasks.retrain.reasons import look_for_reasons
from tasks.retrain.report import Challenge, markdown

NOBODY = "the schedule"


def _name() -> str:
    return run_name("retrain", requested(RetrainRequest))


def _demotion_name() -> str:
    return f"demote to {requested(DemoteRequest).to or 'the predecessor'}"


@flow(name="retrain", flow_run_name=_name, persist_result=False)
def retrain(request: RetrainRequest = RetrainRequest()) -> State[Any]:  # noqa: B008 - frozen
    """Challenge the champion when there is a reason, and promote the challenger when it is better."""
    teller = FlowReporter(reporter.get())
    chain = open_chain(request.profile, dict(request.settings), teller)
    check_rollout(chain)
    waiting = "another retraining is under way here; waiting for its end"
    with hold(chain.home / "locks" / STAGE, lambda: teller.line(STAGE, waiting)):
        return _retrain(chain, request, teller)


def _retrain(chain: Chain, request: RetrainRequest, teller: Reporter) -> State[Any]:
    registry = registry_of(chain)
    state = registry.read()
    untold = ""
    if state.champion is not None and state.pending:
        untold = _tell_late(chain, request, registry, state.champion, teller)
    challenge = Challenge(state.champion)
    record = Runs(chain.home).begin(request.profile)
    record.flow_run = str(flow_run.id or "")
    try:
        # Not while a person is waited for: what this run has recorded until then is no garbage.
        with hold(chain.home / "locks" / GARBAGE_LOCK, shared=True):
            model = _challenge(chain, request, registry, challenge, record, teller)
        if model is not None:
            _promote(chain, request, registry, model, challenge, teller)
    finally:
        create_markdown_artifact(markdown(challenge), key="retraining", description="Champion against challenger")
    said = f"{challenge.explanation}; {untold}" if untold else challenge.explanation
    teller.line(STAGE, f"{challenge.outcome}: {said}")
    return Completed(name=challenge.outcome, message=said)


def _tell_late(chain: Chain, request: RetrainRequest, registry: Registry, champion: Champion, teller: Reporter) -> str:
    """Tell the boards what they were not told; without the release, retraining is the way to another: say so."""
    teller.line(STAGE, f"the boards were not told of champion {champion.release} yet")
    try:
        release_for_boards(chain, champion)
    except (UserError, Corrupt) as gone:
        untold = f"the boards cannot be told of champion {champion.release}: {gone}"
        teller.line(STAGE, untold)
        return untold
    tell_boards(chain, registry, champion, request, teller, on_stop="fleet")
    return ""


def _challenge(
    chain: Chain,
    request: RetrainRequest,
    registry: Registry,
    challenge: Challenge,
    record: RunRecord,
    teller: Reporter,
) -> Champion | None:
    """The challenger as a champion to be, when there is a reason for one and every gate says yes."""
    try:
        run_one(chain, "download", record)
        why = _reasons(chain, request, registry, challenge)
        if not why:
            return None
        teller.line(STAGE, why)
        challenger = hold_challenge(chain, request, registry.read().history, challenge, record, teller)
    finally:
        Runs(chain.home).save(record)
    run_report.publish(challenger, record)
    if challenge.refused is not None:
        name, decision = challenge.refused
        _keep(request.who or NOBODY, f"{name}: {decision.reason}", registry, challenge)
        return None
    won = "; ".join(decision.reason for name, decision in challenge.gates if name in ("accuracy", "McNemar's test"))
    return as_champion(challenger, request.who or NOBODY, f"{why}; {won}")


def _reasons(chain: Chain, request: RetrainRequest, registry: Registry, challenge: Challenge) -> str:
    """Why the champion is challenged, in words; empty when it is not."""
    wanted = chain.settings.retrain
    training = training_of(chain, request.seeds or wanted.seeds)
    champion = challenge.champion
    before = None if champion is None else trained_by(chain, champion).ingredients
    found = look_for_reasons(
        registry.read(),
        before,
        training,
        now=time.time(),
        max_age_days=wanted.max_age_days,
        word=request.reason,
        drift=_drift(chain, champion, challenge) if champion is not None and wanted.drift else "",
    )
    challenge.reasons, challenge.trainings = found.reasons, training.keys
    if not found.reasons:
        challenge.outcome, challenge.explanation = "Nothing to do", found.instead
    return "; ".join(reason.text for reason in found.reasons)


def _drift(chain: Chain, champion: Champion, challenge: Challenge) -> str:
    """What drifted on the boards that run the champion, in words; empty when nothing did, or nothing is known."""
    fleet = Fleet(chain.home)
    running = [name for name, release in fleet.wanted().items() if release == champion.release]
    boards = [name for name in running if name in chain.settings.boards]

    @task(name="boards", task_run_name="look at what boards see", cache_policy=NO_CACHE, persist_result=False)
    def look() -> State[Any]:
        challenge.boards = survey(chain.world, fleet, boards, chain.settings.drift)
        tell_of_fallen_boards(chain, boards)
        found = [f"{item.board}: {item.found}" for item in challenge.boards]
        return Completed(message=", ".join(found))

    if boards:
        look()
    return drifted(challenge.boards)


def _promote(
    chain: Chain,
    request: RetrainRequest,
    registry: Registry,
    model: Champion,
    challenge: Challenge,
    teller: Reporter,
) -> None:
    wanted = chain.settings.retrain
    if wanted.approval:
        challenge.outcome, challenge.explanation = "Waits for approval", f"release {model.release}: {model.why}"
        answer = approval(model.release, markdown(challenge), wanted.approval_hours)
        if answer is None:
            _keep(request.who or NOBODY, f"nobody said yes within {wanted.approval_hours:g} hours", registry, challenge)
            return
        who = answer.who or "a person in the Prefect UI"
        if not answer.approve:
            _keep(who, f"{who} said no: {answer.reason or 'without a reason'}", registry, challenge)
            return
        model = replace(model, who=who, why=f"{model.why}; approved: {answer.reason or 'without a reason'}")
    release_folder(chain, model)  # while a person was waited for it may have gone
    model = replace(model, when=time.time())
    registry.promote(model, challenge.trainings, over=_stands(challenge), pending=wanted.rollout != "none")
    announce("promoted", model, model, model.who, model.why)
    challenge.outcome, challenge.explanation = "Promoted", f"release {model.release} is champion: {model.why}"
    tell_boards(chain, registry, model, request, teller, on_stop="fleet")


def _keep(who: str, why: str, registry: Registry, challenge: Challenge) -> None:
    """The champion keeps its place, or the place stays empty."""
    registry.keep(challenge.checkpoint, challenge.trainings, who, why, over=_stands(challenge))
    stays = f"release {challenge.champion.release} stays champion" if challenge.champion else "there is no champion yet"
    challenge.outcome, challenge.explanation = "Not promoted", f"{stays}: {why}"


def _stands(challenge: Challenge) -> str:
    """The release that the challenger was compared with; empty for none."""
    return challenge.champion.release if challenge.champion else ""


@flow(name="demote", flow_run_name=_demotion_name, persist_result=False)
def demote(request: DemoteRequest = DemoteRequest()) -> State[Any]:  # noqa: B008 - frozen
    """Make a former champion, by default the predecessor, champion again, and give the boards its release."""
    teller = FlowReporter(reporter.get())
    chain = open_chain(request.profile, dict(request.settings), teller)
    check_rollout(chain)
    registry = registry_of(chain)
    before = registry.read()
    who, why = request.who or "a person in the Prefect UI", request.reason or "without a reason"
    demoted = _demoted_before(before, request.to, who, why)
    if demoted and before.champion is not None:
        champion = before.champion
    else:
        champion = back_to(chain, before, request.to)
        assert before.champion is not None  # noqa: S101 - `back_to` has refused this case
        demoted = before.champion.release
        pending = chain.settings.retrain.rollout != "none"
        registry.demote(champion.release, who, why, of=demoted, pending=pending)
        announce("demoted", before.champion, champion, who, why)
    said = f"release {champion.release} is champion again, in place of {demoted}: {why}"
    teller.line(STAGE, said)
    tell_boards(chain, registry, champion, request, teller, on_stop="stay")
    return Completed(name="Demoted", message=said)


def _demoted_before(known: Known, to: str, who: str, why: str) -> str:
    """The release that this very flow run has demoted already, when it is run again; otherwise empty.

    Then only the boards are left to be told: demoting again would go back one champion too far.
    """
    last = known.history[-1] if known.history else None
    if flow_run.run_count <= 1 or last is None or (last.kind, last.who, last.why) != ("demoted", who, why):
        return ""
    began = flow_run.scheduled_start_time.timestamp()  # of the first try; the tries after it leave it as it is
    return last.about if to in ("", last.champion) and last.when >= began else ""
