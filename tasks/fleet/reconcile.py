"""Compare what boards run with what they are meant to run, and deploy where it differs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, GateFailed
from infra.ports.upkeep import JournalEvent, RollbackCause
from tasks.fleet.deployment import deploy_to, on_each
from tasks.fleet.events import Outcome
from tasks.fleet.rollout import reopen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.fleet import Fleet
    from infra.ports.upkeep import BoardStatus
    from infra.world import World


class Found(StrEnum):
    """The result of the comparison."""

    NOTHING_WANTED = "nothing wanted"
    AS_WANTED = "as wanted"
    GAVE_UP = "gave it up"
    DIFFERS = "differs"
    DEPLOYED = "put right"
    FAILED = "failed"


@dataclass(frozen=True)
class Reconciled:
    """A board after the comparison.

    Attributes:
        board: its name.
        wanted: the release that it is meant to run.
        active: the release that it ran before.
        found: the result.
        message: for people.
        exit_code: of the error's class, where something is wrong.
    """

    board: str
    wanted: str | None
    active: str | None
    found: Found
    message: str = ""
    exit_code: int | None = None


def reconcile(
    world: World, fleet: Fleet, names: Sequence[str], *, limit: int, dry_run: bool, force: bool
) -> list[Reconciled]:
    """Compare boards with the fleet's records, and deploy where they differ.

    A board that gave the release up (its watchdog saw the first live images fail) is reported and left alone.

    Args:
        world: the boards.
        fleet: the release that each board is meant to run.
        names: the boards to compare.
        limit: boards at the same time.
        dry_run: only compare.
        force: deploy also where a board gave the release up.
    """
    wanted = fleet.wanted()

    def compare(name: str) -> Reconciled:
        if name not in wanted:
            return Reconciled(name, None, None, Found.NOTHING_WANTED)
        release, active = wanted[name], None
        try:
            status = world.board(name).status()
            active = status.active
            if active == release:
                return Reconciled(name, release, active, Found.AS_WANTED)
            reason = why_given_up(status, release)
            if reason and not force:
                return Reconciled(name, release, active, Found.GAVE_UP, reason, GateFailed.exit_code)
            if dry_run:
                return Reconciled(name, release, active, Found.DIFFERS)
            result = deploy_to(world, fleet.release(release), name)
        except AtlasFlowError as error:
            return Reconciled(name, release, active, Found.FAILED, error.message, error.exit_code)
        found = Found.FAILED if result.outcome == Outcome.FAILED else Found.DEPLOYED
        return Reconciled(name, release, active, found, result.message, result.exit_code)

    return on_each(names, limit, compare)


def why_given_up(status: BoardStatus, release: str) -> str:
    """Return why a board rolled back from a release without an operator; empty when it did not."""
    for entry in reversed(status.journal):
        if entry.event == JournalEvent.ROLLBACK:
            unattended = entry.cause is not RollbackCause.OPERATOR and status.previous == release
            return entry.reason if unattended else ""
        if entry.event == JournalEvent.SWITCH:
            return ""
    return ""


def interrupted_rollout(fleet: Fleet) -> str:
    """Return the id of the newest rollout if its process died in the middle of a wave; empty otherwise."""
    newest = fleet.rollouts()[-1:]
    if not newest:
        return ""
    opened = reopen(fleet, newest[0])
    return opened.id if opened.rollout.running else ""
