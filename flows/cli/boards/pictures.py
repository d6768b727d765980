"""`boards classify` and `pull`: pictures that boards classify."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows.cli.boards.common import chain_of
from flows.cli.options import Json, Profile, Set
from flows.cli.output import print_json, print_line
from infra.board.agent.failure import Failure
from infra.board.agent.screen import lines, listed
from infra.errors import UserError
from infra.ports.board import Classification
from infra.store.atomic import write_text

Name = Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")]


def register(boards: typer.Typer) -> None:
    """Add the commands to the group."""
    boards.command(epilog="Example: `atlasflow boards pull porch --output pictures/`")(pull)
    boards.command(
        epilog="Examples: `atlasflow boards classify porch cat.jpg --output pictures/` · `… ./data/ --caption inside`"
    )(classify)


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
    pictures: Annotated[list[Path], typer.Argument(help="Pictures on this machine, or folders of pictures.")],
    output: Annotated[Path | None, typer.Option(help="Folder; by default one in the home.")] = None,
    caption: Annotated[
        Literal["below", "inside"],
        typer.Option(help="Where the class is written; inside: on the picture, which keeps its size and name."),
    ] = "below",
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Let a board classify pictures, and fetch the annotated copies."""
    chain = chain_of(profile, settings)
    folder = output or chain.home / "pulled" / name / "classified"
    answers = chain.world.board(name).classify(_listed(pictures), folder, inside=caption == "inside")
    if as_json:
        print_json([_row(answer) for answer in answers])
    else:
        for answer in answers:
            copy = str(answer.annotated or "")
            found = lines(answer.picture, answer.top, answer.numbers, answer.milliseconds, copy, answer.problem)
            print_line("\n".join(found))
    unread = [answer.picture for answer in answers if not answer.top]
    if unread:
        raise UserError(f"{len(unread)} of {len(answers)} pictures could not be read: {', '.join(unread)}")


def _row(answer: Classification) -> dict[str, Any]:
    """The JSON form of an answer: the best class, and all five."""
    top = [
        {"label": number, "class": label, "confidence": round(confidence, 6)}
        for number, (label, confidence) in zip(answer.numbers, answer.top, strict=True)
    ]
    return {
        "picture": answer.picture,
        "class": top[0]["class"] if top else answer.problem,
        "confidence": top[0]["confidence"] if top else None,
        "top": top,
        "milliseconds": round(answer.milliseconds, 2),
        "annotated": str(answer.annotated or ""),
    }


def _listed(paths: list[Path]) -> list[Path]:
    try:
        return [Path(path) for path in listed([str(path) for path in paths])]
    except Failure as failure:
        raise UserError(failure.message, hint=failure.hint) from failure
