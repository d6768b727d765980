"""`boards classify` and `pull`: pictures that boards classify."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.boards.common import chain_of, show
from flows.cli.options import Json, Profile, Set
from flows.cli.output import print_json, print_line
from infra.errors import UserError
from infra.store.atomic import write_text

Name = Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")]


def register(boards: typer.Typer) -> None:
    """Add the commands to the group."""
    boards.command(epilog="Example: `atlasflow boards pull porch --output pictures/`")(pull)
    boards.command(epilog="Example: `atlasflow boards classify porch cat.jpg --output pictures/`")(classify)


def pull(
    name: Name,
    output: Annotated[Path | None, typer.Option(help="Folder; by default one in the home.")] = None,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Fetch the annotated pictures that `watch` has left on a board, and its latencies."""
    chain = chain_of(profile, settings)
    folder = output or chain.home / "pulled" / name
    pulled = chain.world.board(name).pull(folder)
    write_text(folder / "latency.json", json.dumps(pulled.report.to_json(), indent=1))
    if as_json:
        print_json({"board": name, "folder": folder, **pulled.to_json()})
        return
    print_line(f"{len(pulled.fetched)} files fetched to {folder}, {pulled.kept} were there")
    numbers = ", ".join(f"{key} {value:g}" for key, value in pulled.report.to_json().items())
    print_line(f"{numbers} (milliseconds)")


def classify(
    name: Name,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures on this machine.")],
    output: Annotated[Path | None, typer.Option(help="Folder; by default one in the home.")] = None,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Let a board classify pictures, and fetch the annotated copies."""
    chain = chain_of(profile, settings)
    folder = output or chain.home / "pulled" / name / "classified"
    answers = chain.world.board(name).classify(pictures, folder)
    rows = [
        {
            "picture": answer.picture,
            "class": answer.top[0][0] if answer.top else answer.problem,
            "confidence": round(answer.top[0][1], 6) if answer.top else None,
            "milliseconds": round(answer.milliseconds, 2),
            "annotated": str(answer.annotated or ""),
        }
        for answer in answers
    ]
    show(rows, {key: key for key in rows[0]}, as_json=as_json)
    unread = [answer.picture for answer in answers if not answer.top]
    if unread:
        raise UserError(f"{len(unread)} of {len(answers)} pictures could not be read: {', '.join(unread)}")
