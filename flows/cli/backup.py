"""`atlasflow backup`, `restore` and `upgrade`: save, restore and convert the state of an installation."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json
from flows.cli.output import print_json, print_line, print_table
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
    """Write the state of this installation to one file, also during a run."""
    done = back_up(home(), fleet_file(), file.absolute(), secrets=secrets)
    if as_json:
        print_json({"file": file, **asdict(done)})
        return
    size = f"{done.bytes / 1e6:.1f} MB in {done.files:,} files, {done.archive_bytes / 1e6:.1f} MB in the archive"
    print_line(f"{file}: {size}; databases that SQLite checked and found whole: {done.databases}")


def restore(
    file: Archive,
    replace: Annotated[bool, typer.Option("--replace", help="Move a home that is not empty aside.")] = False,
    as_json: Json = False,
) -> None:
    """Restore a backup; every byte is checked before anything is replaced."""
    done = restore_home(file.absolute(), home(), replace=replace)
    if as_json:
        print_json({"home": home(), **asdict(done)})
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(done.created))
    lines = [f"restored {home()} as of {when}: {done.files:,} files, {done.bytes / 1e6:.1f} MB"]
    if done.before is not None:
        lines.append(f"the previous home is in {done.before}")
    if fleet_file() != home() / "boards.toml":
        lines.append(f"the boards of the backup are in {home() / 'boards.toml'}; ATLASFLOW_FLEET names {fleet_file()}")
    lines.append("`atlasflow run --prove` checks that bucket and boards match, too")
    for line in lines:
        print_line(line)


def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Rewrite receipts of an older AtlasFlow in the current schema; the originals are kept aside."""
    done = rewrite(home(), dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    if not done:
        print_line("Every receipt has the current schema: nothing to do.")
        return
    rows = [(item.stage, item.key[:12], str(item.schema), item.outcome, item.note) for item in done]
    print_table(("stage", "key", "schema", "would be" if dry_run else "outcome", ""), rows)
