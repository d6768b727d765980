"""`atlasflow data …`: pictures that come back from boards, and their labels."""

from typing import Any

import typer

from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, on_each, show
from flows.cli.options import Json, Profile, Set
from flows.cli.output import print_line

commands = typer.Typer(no_args_is_help=True, help="Bring pictures back from boards, to be labelled on the demo page.")


def register(app: typer.Typer) -> None:
    """Add the group to the app."""
    app.add_typer(commands, name="data")
    commands.command(epilog="Examples: `atlasflow data collect porch` · `atlasflow data collect --all`")(collect)


def collect(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Fetch the pictures of which boards were least sure (`start watch --keep N` there), and free their space."""
    from tasks.dataset.labels import collected, folder_of  # noqa: PLC0415 - for this command alone

    chain = chain_of(profile, settings)

    def fetch(name: str) -> dict[str, Any]:
        return {"fetched": len(chain.world.board(name).collect(folder_of(chain.home, name)))}

    rows = on_each(chosen(chain, names, label, everything), at_once, fetch)
    if not as_json:
        waiting = len(collected(chain.home))
        print_line(f"{waiting} pictures wait for a label; `atlasflow demo` has a page for it")
    show(rows, {"board": "board", "pictures": "fetched"}, as_json=as_json)
