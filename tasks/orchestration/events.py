"""Events of ours on the Prefect server, which automations may wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.events import emit_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.engine.chain import Chain

PROMOTED = "atlasflow.champion.promoted"
DEMOTED = "atlasflow.champion.demoted"
FELL_BACK = "atlasflow.board.fell-back"


def board_fell_back(board: str, release: str, reason: str) -> None:
    """Tell that a board does not run a release that it was given, but the one before it.

    Args:
        board: its name.
        release: the id of the release that it gave up; empty where it is not known.
        reason: why, in words.
    """
    emit_event(
        FELL_BACK,
        resource={"prefect.resource.id": f"atlasflow.board.{board}", "prefect.resource.name": f"board {board}"},
        payload={"board": board, "release": release, "reason": reason},
    )


def tell_of_fallen_boards(chain: Chain, boards: Sequence[str]) -> None:
    """Ask boards that were given a release before whether they gave it up by themselves, and tell of those that did.

    To be called before a deployment, which ends what can be seen of it, and whenever boards are looked at. A board
    that does not answer is no news here: what is done next says so.
    """
    from infra.errors import AtlasFlowError
    from tasks.fleet.reconcile import why_given_up

    wanted = chain.world.fleet().wanted()
    for name in boards:
        if name not in wanted:
            continue
        try:
            reason = why_given_up(chain.world.board(name).status(), wanted[name])
        except AtlasFlowError as error:
            chain.reporter.line("deploy", f"board {name} was not asked whether it fell back: {error.message}")
            continue
        if reason:
            board_fell_back(name, wanted[name], reason)
