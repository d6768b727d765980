"""`atlasflow maintenance`, `verify` and `gc`: keep the home healthy, from the command line."""

from typing import Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table
from flows.context import open_chain
from infra.errors import Corrupt, Refused, UserError
from infra.settings import nearest
from tasks.engine.reporter import Silent
from tasks.maintenance import CHORES, collect_garbage, perform, verify_artifacts

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Examples: `atlasflow verify` · `atlasflow verify --deep`")(verify)
    app.command(epilog="Examples: `atlasflow gc --dry-run` · `atlasflow gc`")(gc)
    app.command(
        epilog="Examples: `atlasflow maintenance --dry-run` · `atlasflow maintenance orphan-jobs --profile cloud`"
    )(maintenance)


def maintenance(
    chores: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(CHORES)}. Default: all.")] = None,
    dry_run: DryRun = False,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Remove garbage and stale locks, verify artifacts, abort unfinished uploads, find orphan jobs, vacuum."""
    for name in chores or ():
        if name not in CHORES:
            raise UserError(
                f"there is no chore '{name}'{nearest(name, CHORES)}", hint=f"the chores are {', '.join(CHORES)}"
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


def verify(
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte, also of files that look unchanged.")] = False,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Check every artifact of every receipt against its digest, and list damaged or missing ones."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    checked, damaged = verify_artifacts(chain, deep=deep)
    if as_json:
        print_json({"checked": checked, "damaged": damaged})
    else:
        print_line(f"{checked} artifacts checked, {len(damaged)} damaged or missing")
    if damaged:
        lines = "\n".join(f"  {item}" for item in damaged)
        raise Corrupt(
            f"{len(damaged)} artifacts do not match their digests:\n{lines}", hint="`atlasflow run` makes them again"
        )


def gc(dry_run: DryRun = False, profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Remove what no recent run, no champion and no board needs."""
    chain = open_chain(profile, parse_overrides(settings), Silent())
    garbage = collect_garbage(
        chain,
        dry_run=dry_run,
        on_wait=lambda: print_line("a run is in progress; waiting for it to end", error=True),
    )
    if as_json:
        print_json(garbage)
        return
    removed = "would be removed" if dry_run else "removed"
    print_line(
        f"{len(garbage.receipts)} receipts and {len(garbage.objects)} objects {removed}, {garbage.bytes / 1e6:.1f} MB; "
        f"{garbage.kept} receipts are in use"
    )
