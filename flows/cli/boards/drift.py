"""`atlasflow boards seen`: the drift of what boards have seen while they watched."""

from dataclasses import asdict

import typer

from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, show
from flows.cli.options import Json, Profile, Set
from infra.fleet import Fleet
from tasks.retrain.drift import survey


def register(boards: typer.Typer) -> None:
    """Add the command to the group."""
    boards.command(epilog="Examples: `atlasflow boards seen porch` · `atlasflow boards seen --all --json`")(seen)


def seen(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Compare what boards have seen while they watched with the images that their model was evaluated on."""
    chain = chain_of(profile, settings)
    boards = chosen(chain, names, label, everything)
    found = survey(chain.world, Fleet(chain.home), boards, chain.settings.drift, at_once=at_once)
    rows = [{**asdict(item), **{name: round(value, 3) for name, value in item.indices.items()}} for item in found]
    columns = {"board": "board", "found": "found", "images": "images", "class": "class", "confidence": "confidence"}
    columns |= {"red": "red", "green": "green", "blue": "blue", "": "message"}
    show(rows, columns, as_json=as_json)
