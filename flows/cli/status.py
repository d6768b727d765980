"""`atlasflow status` and `atlasflow why`: the state of each stage, and the reason for it."""

import time
from dataclasses import dataclass
from typing import Annotated

import typer

from flows.cli import completion
from flows.cli.fresh_run import age
from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table
from flows.context import open_chain
from infra.prefect_server import server
from infra.store.runs import Runs
from tasks.engine.chain import Chain
from tasks.engine.diff import brief
from tasks.engine.reporter import Silent
from tasks.engine.state import StageState
from tasks.pipeline import EVERY_NAME, NAMES, gate_after, select


@dataclass(frozen=True)
class StatusOutput:
    """An output of a stage's receipt; `size` in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class StatusRow:
    """A stage as `status --json` prints it; the last three come from its receipt, if there is one."""

    stage: str
    state: str
    reason: str
    key: str | None
    outputs: tuple[StatusOutput, ...] = ()
    emulated: bool = False
    seconds: float | None = None
    finished: float | None = None


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Examples: `atlasflow status` · `atlasflow status --json`")(status)
    app.command(epilog="Examples: `atlasflow why train` · `atlasflow why deploy --set boards.laptop.soc=Ascend310B4`")(
        why
    )


def status(profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Show the state of each stage: fresh, stale, missing or failed; of the optional ones, those that ever ran."""
    chain = open_chain(profile, parse_overrides(settings), Silent(), EVERY_NAME)
    looks = [look for look in chain.look_at_all() if look.stage in NAMES or chain.receipts.exist(look.stage)]
    rows = [_status_row(chain, look) for look in looks]
    if as_json:
        print_json(rows)
        return
    print_table(("stage", "state", "key", "outputs", "finished", "why"), [_cells(row) for row in rows])
    if note := server.note(chain.world.services, chain.settings.prefect):
        print_line(note)


def _cells(row: StatusRow) -> tuple[str, ...]:
    outputs = ", ".join(output.name for output in row.outputs)
    finished = f"{age(time.time() - row.finished)} ago" if row.finished else ""
    state = f"{row.state} (stand-in)" if row.emulated else row.state
    return row.stage, state, (row.key or "")[:12], outputs, finished, brief(row.reason)


def _status_row(chain: Chain, look: StageState) -> StatusRow:
    state, reason = _state(chain, look)
    receipt = look.receipt
    if receipt is None:
        return StatusRow(look.stage, state, reason, look.key)
    return StatusRow(
        look.stage,
        state,
        reason,
        look.key,
        tuple(StatusOutput(name, artifact.sha256, artifact.size) for name, artifact in receipt.outputs.items()),
        emulated=receipt.emulated,
        seconds=receipt.seconds,
        finished=receipt.finished,
    )


def _state(chain: Chain, look: StageState) -> tuple[str, str]:
    """A stage that is not fresh and whose last attempt with this key failed is shown as failed."""
    if look.state == "fresh":
        decision = gate_after(chain, look.stage)
        closed = decision is not None and not decision.ok
        return look.state, f"{look.reason}; gate closed: {decision.reason}" if closed and decision else str(look.reason)
    last = Runs(chain.home).last_of(look.stage)
    if last is not None and last.outcome == "failed" and last.key == (look.key or ""):
        return "failed", last.reason
    return look.state, str(look.reason)


def why(
    stage: Annotated[
        str, typer.Argument(help=f"Name of a stage: {', '.join(EVERY_NAME)}.", autocompletion=completion.stages)
    ],
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Say why a stage would run again: which ingredient differs from its last receipt."""
    select([stage])
    chain = open_chain(profile, parse_overrides(settings), Silent(), [stage])
    looks = {look.stage: look for look in chain.look_at_all()}
    if as_json:
        look = looks[stage]
        receipt = chain.receipts.latest(stage)
        print_json(
            {
                "stage": stage,
                "state": look.state,
                "reason": str(look.reason),
                "key": look.key,
                "ingredients": look.ingredients,
                "last_receipt": None if receipt is None else {"key": receipt.key, "finished": receipt.finished},
            }
        )
        return
    while True:
        look = looks[stage]
        print_line(f"{stage} is {look.state}", style="bold")
        for line in look.reason.lines():
            print_line(f"  {line}")
        if look.key is not None:
            return
        stage = look.reason.detail
