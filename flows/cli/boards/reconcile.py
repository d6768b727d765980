"""`boards rollback`, `prune` and `reconcile`: change which release boards run and keep."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, on_each, show
from flows.cli.options import Json, Profile, Set
from infra.errors import UserError
from infra.fleet import Fleet
from tasks.fleet.reconcile import interrupted_rollout, reconcile


def register(boards: typer.Typer) -> None:
    """Add the commands to the group."""
    boards.command(epilog="Example: `atlasflow boards rollback porch`")(rollback)
    boards.command(epilog="Example: `atlasflow boards prune --all --keep 2`")(prune)
    boards.command("reconcile", epilog="Example: `atlasflow boards reconcile --all --dry-run`")(reconcile_boards)


def rollback(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Activate the previous release again."""
    chain = chain_of(profile, settings)
    fleet = Fleet(chain.home)

    def back(name: str) -> dict[str, Any]:
        state = chain.world.board(name).rollback()
        if state.active is not None:
            fleet.want(state.active, name)
        return {"active": state.active, "previous": state.previous}

    rows = on_each(chosen(chain, names, label, everything), at_once, back)
    show(rows, {"board": "board", "runs": "active", "before": "previous"}, as_json=as_json)


def prune(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    keep: Annotated[int, typer.Option(min=0, help="Number of newest releases to keep; at least the last two.")] = 3,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Remove old releases, never the current or the previous one."""
    chain = chain_of(profile, settings)
    rows = on_each(
        chosen(chain, names, label, everything),
        at_once,
        lambda name: {"removed": list(chain.world.board(name).prune(keep))},
    )
    show(rows, {"board": "board", "removed": "removed"}, as_json=as_json)


def reconcile_boards(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Deploy again where a board gave the release up.")] = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Compare what boards run with what they are meant to run, and deploy where it differs."""
    chain = chain_of(profile, settings)
    fleet = Fleet(chain.home)
    with fleet.carrying_out():
        unfinished = interrupted_rollout(fleet)
        if unfinished:
            hint = "`atlasflow boards rollout resume` continues it, `atlasflow boards rollout undo` undoes it"
            raise UserError(f"rollout {unfinished} was interrupted in the middle of a wave", hint=hint)
        results = reconcile(
            chain.world, fleet, chosen(chain, names, label, everything), limit=at_once, dry_run=dry_run, force=force
        )
    rows = [asdict(result) for result in results]
    columns = {"board": "board", "wanted": "wanted", "runs": "active", "found": "found", "": "message"}
    show(rows, columns, as_json=as_json)
