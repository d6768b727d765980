"""Carry rollouts out: waves of boards at once, each event recorded before the next step; undo and reconcile them.

Plain functions over `Fleet`, the world's boards and the logic of `tasks/fleet/state.py`; `flows/rollout.py` shows
them in Prefect.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from infra.errors import AtlasFlowError, GateFailed, UserError
from infra.ports.upkeep import JournalEvent, RollbackCause
from infra.retry import retry
from tasks.fleet.state import Policy, Rollout, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.fleet import Fleet, Log
    from infra.ports.release import Release
    from infra.ports.upkeep import BoardStatus
    from infra.world import World
    from tasks.engine.stage import Reporter

STAGE = "rollout"


@dataclass(frozen=True)
class Opened:
    """A rollout with what it needs.

    Attributes:
        id: its name.
        release: id of the release.
        releases: the release by chip.
        rollout: its state.
        log: its events.
    """

    id: str
    release: str
    releases: Mapping[str, Release]
    rollout: Rollout
    log: Log

    def record(self, **event: Any) -> None:
        """Note an event, and then take it for real. One that a power cut swallows is repeated, which does no harm."""
        event["time"] = time.time()
        self.log.append(event, durable=False)
        self.rollout.apply(event)


def begin(fleet: Fleet, releases: Mapping[str, Release], policy: Policy) -> Opened:
    """Plan a rollout; nothing is deployed yet."""
    release = next(iter(releases.values())).id
    now = time.time()
    # Ids sort by time; there is one rollout at a time, so no two begin within a millisecond.
    identifier = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{int(now % 1 * 1000):03}-{release[:8]}"
    log = fleet.rollout(identifier)
    log.append({"event": "planned", "release": release, "policy": asdict(policy), "time": time.time()})
    fleet.forget_history()
    return Opened(identifier, release, releases, Rollout(policy), log)


def reopen(fleet: Fleet, identifier: str) -> Opened:
    """Take up a rollout as its log tells it; an empty id means the newest.

    Raises:
        UserError: there is no such rollout.
    """
    known = fleet.rollouts()
    if identifier not in known and (identifier or not known):
        hint = f"known are {', '.join(known[-5:])}" if known else "start one with `atlasflow boards rollout start`"
        raise UserError(f"there is no rollout '{identifier}'" if identifier else "there was no rollout yet", hint=hint)
    identifier = identifier or known[-1]
    log = fleet.rollout(identifier)
    planned, *events = log.events()
    said = planned["policy"]
    policy = Policy(**{**said, "waves": tuple(tuple(wave) for wave in said["waves"])})
    release = planned["release"]
    return Opened(identifier, release, fleet.release(release), Rollout(policy, events), log)


def carry_out_wave(
    opened: Opened, fleet: Fleet, install: Callable[[str], Mapping[str, Any]], reporter: Reporter
) -> None:
    """Deploy to the boards of the current wave, several at once, until it is over or stopped.

    Args:
        opened: a rollout whose next step is to start a board.
        fleet: remembers what each board shall run.
        install: deploys to a board and tells what came of it (see `install_on`).
        reporter: hears of each board.
    """
    rollout, wave = opened.rollout, opened.rollout.wave
    boards = rollout.policy.waves[wave]
    try:
        _work_through(opened, wave, install, reporter)
    finally:
        opened.log.flush()
        _remember(opened, fleet, boards, wave)


def _work_through(opened: Opened, wave: int, install: Callable[[str], Mapping[str, Any]], reporter: Reporter) -> None:
    rollout, boards = opened.rollout, opened.rollout.policy.waves[wave]
    with ThreadPoolExecutor(rollout.policy.limit) as pool:
        running: dict[Future[Mapping[str, Any]], str] = {}
        while True:
            step = rollout.next(time.time())
            if isinstance(step, Start) and rollout.wave == wave:
                opened.record(event="started", board=step.board)
                running[pool.submit(install, step.board)] = step.board
                continue
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                board, came = running.pop(future), future.result()
                opened.record(event="ended", board=board, **came)
                done = sum(1 for name in boards if name in rollout.outcomes)
                reporter.line(STAGE, f"{board}: {came['outcome']}, {came['message']}")
                reporter.progress(STAGE, done, len(boards), f"boards of {rollout.title(wave)}")


def _remember(opened: Opened, fleet: Fleet, boards: Sequence[str], wave: int) -> None:
    """Note which of a wave's boards shall run the release: those that do, and where few failed, all of them."""
    rollout = opened.rollout
    failed = [name for name in boards if rollout.outcomes.get(name) == "failed"]
    passed = [name for name in boards if rollout.outcomes.get(name) in ("changed", "unchanged")]
    # The fleet goes on without a few that failed; `reconcile` tries them again.
    fleet.want(opened.release, *passed, *(failed if len(failed) <= rollout.allowed(wave) else ()))


def install_on(world: World, releases: Mapping[str, Release], name: str) -> dict[str, Any]:
    """Deploy to one board; an error becomes an outcome. What passes by itself is tried as often as the settings say."""
    begun = time.monotonic()
    try:
        release = _for_chip(world, releases, name)
        board = world.board(name)
        done = retry(lambda: board.install(release), world.settings.retry)
    except AtlasFlowError as error:
        told = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        return {"outcome": "failed", **told, "seconds": time.monotonic() - begun}
    smoke = None if done.smoke is None else done.smoke.milliseconds
    message = f"{done.files_sent} files sent" if done.changed else "nothing to do"
    return {
        "outcome": "changed" if done.changed else "unchanged",
        "message": message + (f", {smoke:.2f} ms an image" if isinstance(smoke, float) else ""),
        "seconds": time.monotonic() - begun,
    }


def _for_chip(world: World, releases: Mapping[str, Release], name: str) -> Release:
    if name not in world.settings.boards:
        raise UserError(f"there is no board '{name}'", hint="`atlasflow boards list` shows them")
    soc = world.settings.boards[name].soc
    if soc not in releases:
        raise UserError(
            f"board {name} has {soc}; the release is for {', '.join(releases)}",
            hint=f"name {soc} in convert.soc_versions, or correct the board's soc",
        )
    return releases[soc]


def undo(opened: Opened, fleet: Fleet, world: World, wave: int | None, reporter: Reporter) -> list[dict[str, Any]]:
    """Put the previous release back on each board that this rollout changed and that still runs its release.

    Args:
        opened: the rollout.
        fleet: remembers what each board shall run.
        world: the boards.
        wave: only this wave, from 0; None is all of them.
        reporter: hears of each board.

    Returns:
        A row a board: board, outcome, message, exit_code.
    """
    rollout = opened.rollout
    waves = rollout.policy.waves if wave is None else rollout.policy.waves[wave : wave + 1]
    reached = rollout.running | {name for name, outcome in rollout.outcomes.items() if outcome in ("changed", "failed")}
    touched = [name for part in waves for name in part if name in reached]

    def back(name: str) -> dict[str, Any]:
        try:
            board = world.board(name)
            active = board.state().active
            if active != opened.release:
                return {"board": name, "outcome": "left alone", "message": f"it runs {active or 'nothing'}"}
            active = board.rollback().active
        except AtlasFlowError as error:
            return {"board": name, "outcome": "failed", "message": error.message, "exit_code": error.exit_code}
        return {"board": name, "outcome": "returned", "message": f"it runs {active} again", "active": active}

    rows = _each(touched, rollout.policy.limit, back)
    for row in rows:
        if row["outcome"] == "returned":
            opened.record(event="returned", board=row["board"])
            fleet.want(row.pop("active"), row["board"])
        reporter.line(STAGE, f"{row['board']}: {row['outcome']}, {row['message']}")
    opened.log.flush()
    return rows


def interrupted(fleet: Fleet) -> str:
    """The id of the newest rollout when its process went in the middle of a wave; empty when it did not."""
    newest = fleet.rollouts()[-1:]
    if not newest:
        return ""
    opened = reopen(fleet, newest[0])
    return opened.id if opened.rollout.running else ""


def reconcile(
    world: World, fleet: Fleet, names: Sequence[str], *, limit: int, dry_run: bool, force: bool
) -> list[dict[str, Any]]:
    """Compare what each board runs with what it shall run, and put right what differs.

    A board that gave a release up by itself (its watchdog saw the first live images fail) is told of and left alone.

    Args:
        world: the boards.
        fleet: what they shall run.
        names: the boards to look at.
        limit: boards at once.
        dry_run: only look.
        force: deploy again where a board gave the release up, too.

    Returns:
        A row a board: board, wanted, active, found, message and, where something is wrong, exit_code.
    """
    wanted = fleet.wanted()

    def look(name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"board": name, "wanted": wanted.get(name), "active": None, "message": ""}
        if row["wanted"] is None:
            return {**row, "found": "nothing wanted"}
        try:
            status = world.board(name).status()
            row["active"] = status.active
            if row["active"] == row["wanted"]:
                return {**row, "found": "as wanted"}
            gave_up = gave_it_up(status, row["wanted"])
            if gave_up and not force:
                return {**row, "found": "gave it up", "message": gave_up, "exit_code": GateFailed.exit_code}
            if dry_run:
                return {**row, "found": "differs"}
            came = install_on(world, fleet.release(row["wanted"]), name)
        except AtlasFlowError as error:
            return {**row, "found": "failed", "message": error.message, "exit_code": error.exit_code}
        found = "failed" if came["outcome"] == "failed" else "put right"
        return {**row, "found": found, **{key: came[key] for key in ("message", "exit_code") if key in came}}

    return _each(names, limit, look)


def gave_it_up(status: BoardStatus, release: str) -> str:
    """Return why a board rolled back from a release without an operator; empty when it did not."""
    for entry in reversed(status.journal):
        if entry.event == JournalEvent.ROLLBACK:
            by_itself = entry.cause is not RollbackCause.OPERATOR and status.previous == release
            return entry.reason if by_itself else ""
        if entry.event == JournalEvent.SWITCH:
            return ""
    return ""


def _each(names: Sequence[str], limit: int, work: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(max(1, min(limit, len(names)))) as pool:
        return list(pool.map(work, names))


def rows(opened: Opened) -> list[dict[str, Any]]:
    """What became of each board, for tables: board, wave, outcome, seconds, message."""
    last = {event["board"]: event for event in opened.log.events() if event["event"] == "ended"}
    rollout = opened.rollout
    return [
        {
            "board": name,
            "wave": number + 1,
            "outcome": rollout.outcomes.get(name, "running" if name in rollout.running else "waiting"),
            "seconds": round(last[name]["seconds"], 1) if name in last else None,
            "message": last[name]["message"] if name in last else "",
            "exit_code": last[name].get("exit_code") if rollout.outcomes.get(name) == "failed" else None,
        }
        for number, wave in enumerate(rollout.policy.waves)
        for name in wave
    ]
