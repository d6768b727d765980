"""Events that this project emits on the Prefect server; automations may wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect.events import emit_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.engine.chain import Chain

PROMOTED = "atlasflow.champion.promoted"
DEMOTED = "atlasflow.champion.demoted"
FELL_BACK = "atlasflow.board.fell-back"
STOPPED = "Stopped by a gate"
"""Name of the state of a run that a gate stopped; its event is `prefect.flow-run.` with this name."""


def rename(name: str, tags: Sequence[str]) -> None:
    """Give the current flow run a name that says what it reached, and tags to filter by."""
    from prefect.client.orchestration import get_client
    from prefect.runtime import flow_run

    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(flow_run.id), name=name, tags={*flow_run.tags, *tags})


def emit_fallback(board: str, release: str, reason: str) -> None:
    """Emit the event that a board went back from a release to the previous one.

    Args:
        board: its name.
        release: the id of the release that it gave up; empty if unknown.
        reason: why, as a sentence.
    """
    emit_event(
        FELL_BACK,
        resource={"prefect.resource.id": f"atlasflow.board.{board}", "prefect.resource.name": f"board {board}"},
        payload={"board": board, "release": release, "reason": reason},
    )


def report_fallen_boards(chain: Chain, boards: Sequence[str]) -> None:
    """Ask boards whether they gave up the release that they should run, and emit an event for each that did.

    Call it before a deployment, which overwrites the evidence, and whenever boards are looked at. A board that does not
    answer is only logged: the next step fails with the error.
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
            emit_fallback(name, wanted[name], reason)
