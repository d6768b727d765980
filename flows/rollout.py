"""Roll a release out to boards in waves, as a Prefect flow: a task for each wave, a table of the results."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from prefect import State, flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field, StringConstraints

from flows.context import open_chain, release_files, select_boards
from flows.requests import Target
from infra.champions import Champion
from infra.errors import GateFailed, UserError
from infra.fleet import Fleet
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.fleet.deployment import deploy_to
from tasks.fleet.events import Outcome, Pause, Policy, Resumed
from tasks.fleet.rollout import STAGE, OpenRollout, begin, board_rows, deploy_wave, reopen, undo
from tasks.fleet.state import Halt, Phase, Start, Wait
from tasks.fleet.waves import cut_waves
from tasks.orchestration.events import emit_fallback
from tasks.orchestration.limits import board_limits, holding
from tasks.orchestration.prefect_task import FlowReporter
from tasks.retrain.champions import demote_release, emit_champion_event, registry_of

OnStop = Literal["stay", "wave", "fleet"]


class RolloutRequest(Target):
    """Roll a release out to boards."""

    boards: tuple[str, ...] = Field((), description="names of boards, in the order of the waves")
    label: str = Field("", description="all boards with this label")
    everything: bool = Field(False, description="all boards")
    percent: float = Field(100, gt=0, le=100, description="only this percentage of them")
    waves: tuple[Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?%?$")], ...] = Field(
        ("1", "10%", "50%"), description="boards done at the end of each wave"
    )
    max_failed: float = Field(0, ge=0, le=1, description="share of a wave's boards that may fail")
    wait_seconds: float = Field(0, ge=0, description="seconds between two waves")
    pause: Pause = Field("never", description="wait for a person after the canary or after each wave")
    limit: int = Field(32, ge=1, le=256, description="boards at the same time")
    on_stop: OnStop = Field("stay", description="what is undone when too many boards fail")
    resume: str = Field("", description="id of a rollout to continue")


def _name() -> str:
    request = flow_run.parameters.get("request") or RolloutRequest()
    values = request if isinstance(request, dict) else request.model_dump()
    if values.get("resume"):
        return f"resume {values['resume']}"
    what = values.get("label") or " ".join(values.get("boards") or ()) or "all boards"
    return f"rollout to {what}"[:100]


@flow(name="rollout", flow_run_name=_name, persist_result=False)
def rollout(request: RolloutRequest = RolloutRequest()) -> State[None]:  # noqa: B008 - frozen
    """Deploy a release to boards in waves, canary first; it stops when too many of a wave fail."""
    return run_rollout(request, FlowReporter(reporter.get()), Effects())


class Effects:
    """What a rollout does to the world, apart from the boards; a test replaces these methods."""

    def open_chain(self, request: RolloutRequest, reporter: Reporter) -> Chain:
        """Open the chain of the request."""
        return open_chain(request.profile, request.settings, reporter)

    def run_task(self, title: str, work: Callable[[], str]) -> None:
        """Run a wave as a task of the flow run; its result is the message of the task's state."""

        @task(name="wave", task_run_name=title, cache_policy=NO_CACHE, persist_result=False)
        def wave() -> State[None]:
            return Completed(message=work())

        wave()

    def hold_boards(self, boards: Sequence[str], chain: Chain, reporter: Reporter) -> AbstractContextManager[object]:
        """Exclude other deployments to these boards."""
        return holding(board_limits(boards), chain.home, lambda text: reporter.line(STAGE, text))

    def notify_fallback(self, board: str, release: str, reason: str) -> None:
        """Emit the event of a board that runs its previous release again."""
        emit_fallback(board, release, reason)

    def notify_demotion(self, demoted: Champion, champion: Champion | None, who: str, why: str) -> None:
        """Emit the event of a demotion."""
        emit_champion_event("demoted", demoted, champion, who, why)

    def publish(self, opened: OpenRollout) -> None:
        """Attach the results to the flow run."""
        create_table_artifact(
            [asdict(row) for row in board_rows(opened)],
            key="rollout-boards",
            description=f"Rollout {opened.id}: the result of each board",
        )
        create_markdown_artifact(markdown(opened), key="rollout", description="The waves of the rollout")


def run_rollout(request: RolloutRequest, reporter: Reporter, effects: Effects) -> State[None]:
    """Start or resume a rollout, and carry it out until it is done, pauses or stops.

    Args:
        request: of the flow run.
        reporter: shows progress.
        effects: on the world.

    Returns:
        The final state; its name tells a pause from the end.

    Raises:
        GateFailed: the rollout stopped.
        Refused: another rollout is in progress here.
    """
    chain = effects.open_chain(request, reporter)
    fleet = Fleet(chain.home)
    with fleet.carrying_out():
        opened = _resume(fleet, request.resume) if request.resume else _begin(chain, fleet, request)
        reporter.line(STAGE, f"rollout {opened.id} of release {opened.release}")
        try:
            halt = _Rollout(chain, fleet, opened, reporter, effects).run(request.on_stop)
        finally:
            effects.publish(opened)
    if halt.phase is Phase.STOPPED:
        hint = "correct what failed and `atlasflow boards rollout resume`, or `atlasflow boards rollout undo`"
        raise GateFailed(f"rollout {opened.id} stopped: {halt.reason}", hint=hint)
    failed = [row.board for row in board_rows(opened) if row.outcome == Outcome.FAILED]
    note = f"; {len(failed)} boards failed: {' '.join(failed[:5])}" if failed else ""
    return Completed(name="Paused" if halt.phase is Phase.PAUSED else "Completed", message=halt.reason + note)


def _begin(chain: Chain, fleet: Fleet, request: RolloutRequest) -> OpenRollout:
    boards = select_boards(
        chain.settings, request.boards, request.label, everything=request.everything, percent=request.percent
    )
    policy = Policy(
        cut_waves(boards, request.waves), request.max_failed, request.wait_seconds, request.pause, request.limit
    )
    files, origin = release_files(chain)
    return begin(fleet, fleet.keep(files, origin), policy)


def _resume(fleet: Fleet, identifier: str) -> OpenRollout:
    opened = reopen(fleet, identifier)
    step = opened.rollout.next(time.time())
    if isinstance(step, Halt) and step.phase is Phase.DONE:
        raise UserError(f"rollout {opened.id} is done", hint="`atlasflow boards reconcile` tries failed boards again")
    opened.record(Resumed(time.time()))
    return opened


@dataclass(frozen=True)
class _Rollout:
    """A rollout in progress."""

    chain: Chain
    fleet: Fleet
    opened: OpenRollout
    reporter: Reporter
    effects: Effects

    def run(self, on_stop: OnStop) -> Halt:
        halt = self._run_waves()
        if halt.phase is Phase.STOPPED and on_stop != "stay":
            self._undo(None if on_stop == "fleet" else self.opened.rollout.wave)
            if on_stop == "fleet":
                self._demote(halt.reason)
        return halt

    def _run_waves(self) -> Halt:
        while True:
            step = self.opened.rollout.next(time.time())
            if isinstance(step, Start):
                self.effects.run_task(self.opened.rollout.title(), self._run_wave)
            elif isinstance(step, Wait) and step.until is not None:
                self.reporter.line(STAGE, f"waits {step.until - time.time():.0f} s before the next wave")
                time.sleep(max(0.0, step.until - time.time()))
            elif isinstance(step, Halt):
                return step

    def _run_wave(self) -> str:
        """Deploy to the boards of the current wave; the number of boards by result."""
        opened, chain = self.opened, self.chain
        wave = opened.rollout.wave
        boards = opened.rollout.policy.waves[wave]
        with self.effects.hold_boards(boards, chain, self.reporter):
            deploy_wave(opened, self.fleet, lambda name: deploy_to(chain.world, opened.releases, name), self.reporter)
        for row in board_rows(opened):
            if row.wave == wave + 1 and row.exit_code == GateFailed.exit_code:
                self.effects.notify_fallback(row.board, opened.release, row.message)
        counts = Counter(str(opened.rollout.outcomes.get(name, "not started")) for name in boards)
        return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())

    def _undo(self, wave: int | None) -> None:
        for result in undo(self.opened, self.fleet, self.chain.world, wave, self.reporter):
            if result.outcome == "returned":
                self.effects.notify_fallback(result.board, self.opened.release, "its rollout stopped and was undone")

    def _demote(self, reason: str) -> None:
        """Restore boards and registry together: a champion that the fleet gave up is demoted."""
        who, why = f"rollout {self.opened.id}", f"its rollout stopped: {reason}"
        demoted = demote_release(self.chain, self.opened.release, who, why)
        if demoted is not None:
            self.effects.notify_demotion(demoted, registry_of(self.chain).read().champion, who, why)


def markdown(opened: OpenRollout) -> str:
    """Write the waves of a rollout as Markdown."""
    columns = (*Outcome, "waiting")
    lines = [f"# Rollout {opened.id}", "", f"Release `{opened.release}`.", ""]
    lines += [f"| wave | boards | {' | '.join(columns)} |", "|---|---:|" + "---:|" * len(columns)]
    for number, wave in enumerate(opened.rollout.policy.waves):
        counts = Counter(str(opened.rollout.outcomes.get(name, "waiting")) for name in wave)
        cells = " | ".join(str(counts[str(column)]) for column in columns)
        lines.append(f"| {opened.rollout.title(number)} | {len(wave)} | {cells} |")
    return "\n".join([*lines, ""])
