"""Retraining: when there is a reason, train a challenger, compare it, and promote it when every gate agrees."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.requests import RetrainRequest, current_request, run_name
from flows.retrain.challenge import ChallengeContext
from flows.retrain.effects import Effects
from flows.retrain.promotion import STAGE, roll_out
from infra.champions import Champion, Registry
from infra.errors import Corrupt, UserError
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.locks import hold
from infra.store.runs import RunRecord, Runs
from tasks.dataset.labels import labels_since
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.orchestration.prefect_task import FlowReporter
from tasks.retrain.challenge import Challenge, Outcome
from tasks.retrain.drift import reason as describe_drift
from tasks.retrain.reasons import find_reasons
from tasks.retrain.report import markdown
from tasks.stages.download import local_source

SCHEDULE = "the schedule"
UNNAMED_PERSON = "a person in the Prefect UI"
NO_REASON = "no reason given"


def _name() -> str:
    return run_name("retrain", current_request(RetrainRequest))


@flow(name="retrain", flow_run_name=_name, persist_result=False)
def retrain(request: RetrainRequest = RetrainRequest()) -> State[Any]:  # noqa: B008 - frozen
    """Challenge the champion when there is a reason, and promote the challenger when it is better."""
    return run_retraining(request, FlowReporter(reporter.get()), Effects())


def run_retraining(request: RetrainRequest, reporter: Reporter, effects: Effects) -> State[Any]:
    """Run one retraining after the other in a home.

    Args:
        request: of the flow run.
        reporter: shows progress.
        effects: on the world.

    Returns:
        The final state; its name is the outcome.
    """
    chain = effects.open_chain(request, reporter)
    waiting = "another retraining is in progress here; waiting for it to end"
    with hold(chain.home / "locks" / STAGE, lambda: reporter.line(STAGE, waiting)):
        registry = effects.registry(chain)
        challenge = Challenge(registry.read().champion)
        return _Retraining(chain, request, registry, challenge, reporter, effects).run()


@dataclass
class _Retraining:
    """A retraining in progress."""

    chain: Chain
    request: RetrainRequest
    registry: Registry
    challenge: Challenge
    reporter: Reporter
    effects: Effects
    record: RunRecord = field(init=False)

    def run(self) -> State[Any]:
        pending = self._roll_out_pending()
        self.record = Runs(self.chain.home).begin(self.request.profile)
        self.record.flow_run = str(flow_run.id or "")
        try:
            # Not while waiting for approval: until then, the receipts of this run are on record.
            with hold(self.chain.home / "locks" / GARBAGE_LOCK, shared=True):
                candidate = self._challenge()
            if candidate is not None:
                self._promote(candidate)
        finally:
            self.effects.publish_report(markdown(self.challenge))
        explanation = "; ".join(filter(None, (self.challenge.explanation, pending)))
        self.reporter.line(STAGE, f"{self.challenge.outcome}: {explanation}")
        return Completed(name=self.challenge.outcome.value, message=explanation)

    def _roll_out_pending(self) -> str:
        """Roll out a champion whose rollout an earlier run did not start.

        Returns:
            Why it was not possible; empty otherwise. Retraining goes on: it leads to another release.
        """
        champion = self.challenge.champion
        if champion is None or not self.registry.read().pending:
            return ""
        self.reporter.line(STAGE, f"the rollout of champion {champion.release} was not started yet")
        try:
            self.effects.rollout(self.chain, champion, self.request).release()
        except (UserError, Corrupt) as error:
            problem = f"champion {champion.release} cannot be rolled out: {error}"
            self.reporter.line(STAGE, problem)
            return problem
        self._roll_out(champion)
        return ""

    def _challenge(self) -> Champion | None:
        """Challenge the champion when there is a reason; the challenger when every gate agrees, else None."""
        try:
            self.effects.run_stage(self.chain, "download", self.record)
            if not self._has_reasons():
                return None
            self.reporter.line(STAGE, "; ".join(reason.text for reason in self.challenge.reasons))
            history = self.registry.read().history
            context = ChallengeContext(self.chain, self.request, history, self.challenge, self.record, self.reporter)
            challenger = self.effects.run_challenge(context)
        finally:
            Runs(self.chain.home).save(self.record)
        self.effects.publish_run(challenger, self.record)
        refused = self.challenge.refused
        if refused is not None:
            self._keep(self.request.who or SCHEDULE, f"{refused.gate}: {refused.decision.reason}")
            return None
        return self.effects.candidate(challenger, self.request.who or SCHEDULE, self.challenge.why())

    def _has_reasons(self) -> bool:
        settings, champion = self.chain.settings.retrain, self.challenge.champion
        training = self.effects.planned_training(self.chain, self.request.seeds or settings.seeds)
        before = None if champion is None else self.effects.training_ingredients(self.chain, champion)
        if champion is not None and settings.drift:
            self.challenge.boards = self.effects.check_boards(self.chain, champion)
        reasons = find_reasons(
            self.registry.read(),
            before,
            training,
            now=time.time(),
            max_age_days=settings.max_age_days,
            request=self.request.reason,
            drift=describe_drift(self.challenge.boards),
            labels=0 if champion is None else labels_since(local_source(self.chain.settings), champion.when),
        )
        self.challenge.reasons, self.challenge.trainings = reasons.found, training.keys
        if not reasons.found:
            self._end(Outcome.NOTHING_TO_DO, reasons.none_because)
        return bool(reasons.found)

    def _promote(self, candidate: Champion) -> None:
        settings = self.chain.settings.retrain
        if settings.approval:
            approved = self._approved(candidate)
            if approved is None:
                return
            candidate = approved
        self.effects.release_folder(self.chain, candidate)  # it may have been removed while waiting for approval
        candidate = replace(candidate, when=time.time())
        pending = settings.rollout != "none"
        self.registry.promote(candidate, self.challenge.trainings, over=self.challenge.over, pending=pending)
        self.effects.emit_event("promoted", candidate, candidate, candidate.who, candidate.why)
        self._end(Outcome.PROMOTED, f"release {candidate.release} is champion: {candidate.why}")
        self._roll_out(candidate)

    def _approved(self, candidate: Champion) -> Champion | None:
        """Wait for a person; the candidate with this person's name, or None when it is not approved."""
        hours = self.chain.settings.retrain.approval_hours
        self._end(Outcome.WAITING, f"release {candidate.release}: {candidate.why}")
        answer = self.effects.wait_for_approval(candidate.release, markdown(self.challenge), hours)
        if answer is None:
            self._keep(self.request.who or SCHEDULE, f"nobody approved it within {hours:g} hours")
            return None
        who, reason = answer.who or UNNAMED_PERSON, answer.reason or NO_REASON
        if not answer.approve:
            self._keep(who, f"{who} rejected it: {reason}")
            return None
        return replace(candidate, who=who, why=f"{candidate.why}; approved: {reason}")

    def _keep(self, who: str, why: str) -> None:
        """Record that the champion keeps its place, or that there still is none."""
        challenge = self.challenge
        self.registry.keep(challenge.checkpoint, challenge.trainings, who, why, over=challenge.over)
        stays = f"release {challenge.over} stays champion" if challenge.over else "there is no champion yet"
        self._end(Outcome.NOT_PROMOTED, f"{stays}: {why}")

    def _roll_out(self, champion: Champion) -> None:
        rollout = self.effects.rollout(self.chain, champion, self.request)
        roll_out(rollout, self.registry, self.reporter, on_stop="fleet")

    def _end(self, outcome: Outcome, explanation: str) -> None:
        self.challenge.outcome, self.challenge.explanation = outcome, explanation
