"""`atlasflow maintenance`: the chores, by hand."""

from typing import Annotated

import typer

from flows.cli.output import print_json, print_table
from flows.cli.run import Json, Profile, Set, parse_overrides
from flows.context import open_chain
from infra.errors import Refused, UserError
from infra.settings import nearest
from tasks.engine.reporter import Silent
from tasks.maintenance import CHORES, perform


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        epilog="Examples: `atlasflow maintenance --dry-run` · `atlasflow maintenance orphan-jobs --profile cloud`"
    )(maintenance)


def maintenance(
    chores: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(CHORES)}. Default: all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Remove garbage and stale locks, read every artifact, end forgotten uploads, find forgotten jobs, vacuum."""
    for name in chores or ():
        if name not in CHORES:
            raise UserError(
                f"there is no chore '{name}'{nearest(name, CHORES)}", hint=f"take some of {', '.join(CHORES)}"
            )
    chain = open_chain(profile, parse_overrides(settings), Silent())
    outcomes = [perform(name, chain, dry_run=dry_run) for name in chores or CHORES]
    if as_json:
        print_json(outcomes)
    else:
        rows = [(item.chore, "look" if item.failed else "good", item.found) for item in outcomes]
        print_table(("chore", "", "found"), rows)
    failed = [item for item in outcomes if item.failed]
    if failed:
        lines = "\n".join(f"  {name}" for item in failed for name in item.items or (f"{item.chore}: {item.found}",))
        raise Refused(f"maintenance needs a person:\n{lines}", hint="`atlasflow run` makes damaged artifacts again")
