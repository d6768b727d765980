"""A release onto boards in waves, as a Prefect flow: one task a wave, one table of what became of each board."""

import time
from typing import Annotated, Literal

from prefect import State, flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field, StringConstraints

from flows.context import open_chain, release_files, select_boards
from flows.requests import Target
from infra.errors import GateFailed, UserError
from infra.fleet import Fleet
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.fleet import rollout as work
from tasks.fleet.state import Pause, Policy, Stand, Start, Wait, cut_waves
from tasks.orchestration.events import board_fell_back
from tasks.orchestration.limits import board_limits, holding
from tasks.orchestration.prefect_task import FlowReporter
from tasks.retrain.champions import demote_release, emit_champion_event, registry_of

OnStop = Literal["stay", "wave", "fleet"]


class RolloutRequest(Target):
    """What to roll out, where and how. The Prefect UI shows this as a form."""

    boards: tuple[str, ...] = Field((), description="names of boards, in the order of the waves")
    label: str = Field("", description="all boards of the fleet file with this label")
    everything: bool = Field(False, description="all boards of the fleet file")
    percent: float = Field(100, gt=0, le=100, description="only this share of them")
    waves: tuple[Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?%?$")], ...] = Field(
        ("1", "10%", "50%"), description="boards done at the end of each wave"
    )
    max_failed: float = Field(0, ge=0, le=1, description="share of a wave's boards that may fail")
    wait_seconds: float = Field(0, ge=0, description="between two waves")
    pause: Pause = Field("never", description="stop for a person after the canary or after each wave")
    limit: int = Field(32, ge=1, le=256, description="boards at once")
    on_stop: OnStop = Field("stay", description="what is undone when too many boards fail")
    resume: str = Field("", description="id of a rollout to go on with")


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
    teller = FlowReporter(reporter.get())
    chain = open_chain(request.profile, dict(request.settings), teller)
    fleet = Fleet(chain.home)
    with fleet.carrying_out():
        opened = _resumed(fleet, request.resume) if request.resume else _begun(chain, fleet, request)
        teller.line(work.STAGE, f"rollout {opened.id} of release {opened.release}")
        try:
            stand = _carry_out(chain, fleet, opened, teller)
            if stand.why == "stopped" and request.on_stop != "stay":
                wave = opened.rollout.wave if request.on_stop == "wave" else None
                for row in work.undo(opened, fleet, chain.world, wave, teller):
                    if row["outcome"] == "returned":
                        board_fell_back(row["board"], opened.release, "its rollout stopped and was undone")
                if wave is None:
                    _demote(chain, opened, stand.reason)
        finally:
            publish(opened)
    if stand.why == "stopped":
        hint = "mend what failed and `atlasflow boards rollout resume`, or `atlasflow boards rollout undo`"
        raise GateFailed(f"rollout {opened.id} stopped: {stand.reason}", hint=hint)
    failed = [row["board"] for row in work.rows(opened) if row["outcome"] == "failed"]
    note = f"; {len(failed)} boards failed: {' '.join(failed[:5])}" if failed else ""
    return Completed(name="Paused" if stand.why == "paused" else "Completed", message=stand.reason + note)


def _demote(chain: Chain, opened: work.Opened, reason: str) -> None:
    """Boards and registry go back together: a champion that the fleet gave up is champion no more."""
    who, why = f"rollout {opened.id}", f"its rollout stopped: {reason}"
    demoted = demote_release(chain, opened.release, who, why)
    if demoted is not None:
        emit_champion_event("demoted", demoted, registry_of(chain).read().champion, who, why)


def _begun(chain: Chain, fleet: Fleet, request: RolloutRequest) -> work.Opened:
    boards = select_boards(
        chain.settings, request.boards, request.label, everything=request.everything, percent=request.percent
    )
    policy = Policy(
        cut_waves(boards, request.waves), request.max_failed, request.wait_seconds, request.pause, request.limit
    )
    files, where = release_files(chain)
    return work.begin(fleet, fleet.keep(files, where), policy)


def _resumed(fleet: Fleet, identifier: str) -> work.Opened:
    opened = work.reopen(fleet, identifier)
    stand = opened.rollout.next(time.time())
    if isinstance(stand, Stand) and stand.why == "done":
        raise UserError(f"rollout {opened.id} is done", hint="`atlasflow boards reconcile` tries failed boards again")
    opened.record(event="resumed")
    return opened


def _carry_out(chain: Chain, fleet: Fleet, opened: work.Opened, teller: Reporter) -> Stand:
    while True:
        step = opened.rollout.next(time.time())
        if isinstance(step, Start):
            _run_wave(chain, fleet, opened, teller)
        elif isinstance(step, Wait) and step.until is not None:
            teller.line(work.STAGE, f"waits {step.until - time.time():.0f} s before the next wave")
            time.sleep(max(0.0, step.until - time.time()))
        elif isinstance(step, Stand):
            return step


def _run_wave(chain: Chain, fleet: Fleet, opened: work.Opened, teller: Reporter) -> None:
    title = opened.rollout.title()

    @task(name="wave", task_run_name=title, cache_policy=NO_CACHE, persist_result=False)
    def wave_task() -> State[None]:
        wave = opened.rollout.wave
        boards = opened.rollout.policy.waves[wave]
        with holding(board_limits(boards), chain.home, lambda text: teller.line(work.STAGE, text)):
            work.carry_out_wave(opened, fleet, lambda name: work.install_on(chain.world, opened.releases, name), teller)
        for row in work.rows(opened):
            if row["wave"] == wave + 1 and row["exit_code"] == GateFailed.exit_code:
                board_fell_back(row["board"], opened.release, row["message"])
        outcomes = [opened.rollout.outcomes.get(name, "not started") for name in boards]
        counts = ", ".join(f"{outcomes.count(word)} {word}" for word in dict.fromkeys(outcomes))
        return Completed(message=counts)

    wave_task()


def publish(opened: work.Opened) -> None:
    """Attach what became of each board to the current flow run."""
    rows = work.rows(opened)
    create_table_artifact(rows, key="rollout-boards", description=f"Rollout {opened.id}: what became of each board")
    create_markdown_artifact(markdown(opened), key="rollout", description="The waves of the rollout")


def markdown(opened: work.Opened) -> str:
    """The waves of a rollout as Markdown."""
    words = ("changed", "unchanged", "failed", "returned", "waiting")
    lines = [
        f"# Rollout {opened.id}",
        "",
        f"Release `{opened.release}`.",
        "",
        f"| wave | boards | {' | '.join(words)} |",
    ]
    lines.append("|---|---:|" + "---:|" * len(words))
    for number, wave in enumerate(opened.rollout.policy.waves):
        outcomes = [opened.rollout.outcomes.get(name, "waiting") for name in wave]
        counts = " | ".join(str(outcomes.count(word)) for word in words)
        lines.append(f"| {opened.rollout.title(number)} | {len(wave)} | {counts} |")
    return "\n".join([*lines, ""])
