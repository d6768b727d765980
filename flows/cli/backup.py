"""`atlasflow backup`, `restore` and `upgrade`: the state of an installation as a whole."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.cli.run import Json
from infra.backup.restore import restore as restore_home
from infra.backup.write import back_up
from infra.home import fleet_file, home
from infra.store.rewrite import rewrite

Archive = Annotated[Path, typer.Argument(metavar="FILE", help="Such as backup.tar.gz; a .tar is not compressed.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Examples: `atlasflow backup backup.tar.gz` · `atlasflow backup all.tar --secrets`")(backup)
    app.command(epilog="Examples: `atlasflow restore backup.tar.gz` · `atlasflow restore backup.tar.gz --replace`")(
        restore
    )
    app.command(epilog="Examples: `atlasflow upgrade --dry-run` · `atlasflow upgrade`")(upgrade)


def backup(
    file: Archive,
    secrets: Annotated[bool, typer.Option("--secrets", help="Include the keys of stand-ins and services.")] = False,
    as_json: Json = False,
) -> None:
    """Write the state of this installation to one file; a run may go on meanwhile."""
    done = back_up(home(), fleet_file(), file.absolute(), secrets=secrets)
    if as_json:
        print(json.dumps({"file": str(file), **asdict(done)}, indent=1))
        return
    size = f"{done.bytes / 1e6:.1f} MB in {done.files:,} files, {done.archive_bytes / 1e6:.1f} MB packed"
    Console(soft_wrap=True).print(f"{file}: {size}", highlight=False, markup=False)


def restore(
    file: Archive,
    replace: Annotated[bool, typer.Option("--replace", help="Move a home that is not empty aside.")] = False,
    as_json: Json = False,
) -> None:
    """Put back what `backup` wrote; every byte is checked before anything takes its place."""
    done = restore_home(file.absolute(), home(), replace=replace)
    if as_json:
        print(json.dumps({"home": str(home()), **asdict(done)}, indent=1, default=str))
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(done.created))
    lines = [f"{home()} is as it was on {when}: {done.files:,} files, {done.bytes / 1e6:.1f} MB"]
    if done.before is not None:
        lines.append(f"what was there before is in {done.before}")
    if fleet_file() != home() / "boards.toml":
        lines.append(f"its boards are in {home() / 'boards.toml'}; ATLASFLOW_FLEET names {fleet_file()}")
    lines.append("`atlasflow run --prove` asks bucket and boards whether they are as they were, too")
    for line in lines:
        Console(soft_wrap=True).print(line, highlight=False, markup=False)


def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Write receipts of an older AtlasFlow in the present schema; as they were, they are kept aside."""
    done = rewrite(home(), dry_run=dry_run)
    if as_json:
        print(json.dumps([asdict(item) for item in done], indent=1))
        return
    console = Console(soft_wrap=True)
    if not done:
        console.print("Every receipt is of the present schema: nothing to do.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("stage", "key", "schema", "would be" if dry_run else "outcome", ""):
        table.add_column(title, overflow="fold")
    for item in done:
        table.add_row(item.stage, item.key[:12], str(item.schema), item.outcome, item.note)
    console.print(table)
