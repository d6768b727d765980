"""Carry rollouts out: each wave deploys to several boards at the same time, and each event is recorded at once.

Plain functions over `Fleet`, the boards of the world and the logic of `tasks/fleet/state.py`; `flows/rollout.py` runs
them in Prefect.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from infra.errors import AtlasFlowError, UserError
from tasks.fleet.deployment import on_each
from tasks.fleet.events import (
    BoardResult,
    Ended,
    Event,
    Outcome,
    Plan,
    Policy,
    Returned,
    Started,
    event_to_json,
    events_from_json,
)
from tasks.fleet.state import Rollout, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.fleet import Fleet, Log
    from infra.ports.release import Release
    from infra.world import World
    from tasks.engine.stage import Reporter

STAGE = "rollout"


@dataclass(frozen=True)
class OpenRollout:
    """A rollout with its log.

    Attributes:
        id: its name.
        release: id of the release.
        releases: the release by chip.
        rollout: the state.
        log: the events.
    """

    id: str
    release: str
    releases: Mapping[str, Release]
    rollout: Rollout
    log: Log

    def record(self, event: Event) -> None:
        """Write an event to the log, then apply it. One that a power cut loses happens again, without harm."""
        self.log.append(event_to_json(event), durable=False)
        self.rollout.apply(event)


def begin(fleet: Fleet, releases: Mapping[str, Release], policy: Policy) -> OpenRollout:
    """Plan a rollout; nothing is deployed yet."""
    release = next(iter(releases.values())).id
    now = time.time()
    # Ids sort by time; there is one rollout at a time, so no two begin within a millisecond.
    identifier = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{int(now % 1 * 1000):03}-{release[:8]}"
    log = fleet.rollout(identifier)
    log.append(Plan(release, policy, now).to_json())
    fleet.forget_history()
    return OpenRollout(identifier, release, releases, Rollout(policy), log)


def reopen(fleet: Fleet, identifier: str) -> OpenRollout:
    """Open a rollout from its log; an empty id means the newest.

    Raises:
        UserError: there is no such rollout.
    """
    known = fleet.rollouts()
    if identifier not in known and (identifier or not known):
        hint = f"known are {', '.join(known[-5:])}" if known else "start one with `atlasflow boards rollout start`"
        raise UserError(f"there is no rollout '{identifier}'" if identifier else "there was no rollout yet", hint=hint)
    identifier = identifier or known[-1]
    log = fleet.rollout(identifier)
    first, *lines = log.events()
    plan = Plan.from_json(first)
    state = Rollout(plan.policy, events_from_json(lines))
    return OpenRollout(identifier, plan.release, fleet.release(plan.release), state, log)


def deploy_wave(opened: OpenRollout, fleet: Fleet, deploy: Callable[[str], BoardResult], reporter: Reporter) -> None:
    """Deploy to the boards of the current wave, several at the same time, until it is over or stopped.

    Args:
        opened: a rollout whose next step is to start a board.
        fleet: records the release that each board is meant to run.
        deploy: deploys to a board (see `deploy_to`).
        reporter: shows each board.
    """
    wave = opened.rollout.wave
    try:
        _deploy_boards(opened, wave, deploy, reporter)
    finally:
        opened.log.flush()
        _record_wanted(opened, fleet, wave)


def _deploy_boards(opened: OpenRollout, wave: int, deploy: Callable[[str], BoardResult], reporter: Reporter) -> None:
    rollout, boards = opened.rollout, opened.rollout.policy.waves[wave]
    with ThreadPoolExecutor(rollout.policy.limit) as pool:
        running: dict[Future[BoardResult], str] = {}
        while True:
            step = rollout.next(time.time())
            if isinstance(step, Start) and rollout.wave == wave:
                opened.record(Started(step.board, time.time()))
                running[pool.submit(deploy, step.board)] = step.board
                continue
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                board, result = running.pop(future), future.result()
                opened.record(Ended(board, time.time(), result))
                done = sum(1 for name in boards if name in rollout.outcomes)
                reporter.line(STAGE, f"{board}: {result.outcome}, {result.message}")
                reporter.progress(STAGE, done, len(boards), f"boards of {rollout.title(wave)}")


def _record_wanted(opened: OpenRollout, fleet: Fleet, wave: int) -> None:
    """Record which boards of a wave are meant to run the release: the successful ones, or all if few failed."""
    rollout = opened.rollout
    boards = rollout.policy.waves[wave]
    failed = [name for name in boards if rollout.outcomes.get(name) == Outcome.FAILED]
    passed = [name for name in boards if rollout.outcomes.get(name) in (Outcome.CHANGED, Outcome.UNCHANGED)]
    # `reconcile` tries the few that failed again.
    fleet.want(opened.release, *passed, *(failed if len(failed) <= rollout.allowed(wave) else ()))


@dataclass(frozen=True)
class Undone:
    """The result of undoing a rollout on one board.

    Attributes:
        board: its name.
        outcome: `returned` to its previous release, `left alone` as it runs another release, or `failed`.
        message: for people.
        active: the release that it runs now, when it returned.
        exit_code: of the error's class, when it failed.
    """

    board: str
    outcome: Literal["returned", "left alone", "failed"]
    message: str
    active: str | None = None
    exit_code: int | None = None


def undo(opened: OpenRollout, fleet: Fleet, world: World, wave: int | None, reporter: Reporter) -> list[Undone]:
    """Restore the previous release on each board that this rollout changed and that still runs its release.

    Args:
        opened: the rollout.
        fleet: records the release that each board is meant to run.
        world: the boards.
        wave: only this wave, from 0; None is all of them.
        reporter: shows each board.
    """
    rollout = opened.rollout
    waves = rollout.policy.waves if wave is None else rollout.policy.waves[wave : wave + 1]
    changed = {name for name, outcome in rollout.outcomes.items() if outcome in (Outcome.CHANGED, Outcome.FAILED)}
    names = [name for part in waves for name in part if name in rollout.running | changed]
    results = on_each(names, rollout.policy.limit, lambda name: _roll_back(world, name, opened.release))
    for result in results:
        if result.outcome == "returned" and result.active is not None:
            opened.record(Returned(result.board, time.time()))
            fleet.want(result.active, result.board)
        reporter.line(STAGE, f"{result.board}: {result.outcome}, {result.message}")
    opened.log.flush()
    return results


def _roll_back(world: World, name: str, release: str) -> Undone:
    try:
        board = world.board(name)
        active = board.state().active
        if active != release:
            return Undone(name, "left alone", f"it runs {active or 'nothing'}")
        active = board.rollback().active
    except AtlasFlowError as error:
        return Undone(name, "failed", error.message, exit_code=error.exit_code)
    return Undone(name, "returned", f"it runs {active} again", active)


@dataclass(frozen=True)
class BoardRow:
    """A board in a rollout, for tables.

    Attributes:
        board: its name.
        wave: its wave, from 1.
        outcome: an `Outcome`, `running` or `waiting`.
        seconds: duration of the deployment.
        message: for people.
        exit_code: of the error's class, when it failed.
    """

    board: str
    wave: int
    outcome: str
    seconds: float | None = None
    message: str = ""
    exit_code: int | None = None


def board_rows(opened: OpenRollout) -> list[BoardRow]:
    """List the boards of a rollout with their results, wave by wave."""
    events = events_from_json(opened.log.events())
    results = {event.board: event.result for event in events if isinstance(event, Ended)}
    return [
        _row(opened.rollout, name, number, results.get(name))
        for number, wave in enumerate(opened.rollout.policy.waves, 1)
        for name in wave
    ]


def _row(rollout: Rollout, name: str, wave: int, result: BoardResult | None) -> BoardRow:
    outcome = rollout.outcomes.get(name, "running" if name in rollout.running else "waiting")
    if result is None:
        return BoardRow(name, wave, outcome)
    exit_code = result.exit_code if outcome == Outcome.FAILED else None
    return BoardRow(name, wave, outcome, round(result.seconds, 1), result.message, exit_code)
