"""`atlasflow twin`: a shell in which the stand-ins are what the tutorials expect of a cloud machine."""

import shlex
from typing import Annotated

import typer

from flows.cli.options import Json, Set, parse_overrides
from flows.cli.output import print_json
from flows.context import open_chain
from tasks.engine.reporter import Silent

twin = typer.Typer(help="Use the stand-ins from a shell of your own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(twin, name="twin", epilog='Example: `eval "$(atlasflow twin env)"`')


@twin.command("env", epilog='Example: `eval "$(atlasflow twin env)"`')
def print_environment(
    compatibility: Annotated[
        bool, typer.Option("--compatibility", help="Let Python programs of this shell use names of MindSpore 1.x.")
    ] = False,
    profile: Annotated[str, typer.Option(help="A profile whose cloud is stand-ins.")] = "twin",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Print what to export: `atc` and Python on PATH, MoXing, the end points and keys of the stand-ins.

    It starts the stand-ins of object storage and ModelArts.
    """
    from infra.twin import variables  # noqa: PLC0415 - boto3 is for those who use it

    found = variables(open_chain(profile, parse_overrides(settings), Silent()).world, compatible=compatibility)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")
