"""The command `demo`: a page that classifies pictures with the checkpoint, the ONNX file and boards side by side."""

from typing import Annotated

import typer

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from infra.errors import UserError
from tasks.engine.reporter import Silent

Boards = Annotated[
    list[str] | None,
    typer.Option("--board", help="A board that answers too; may be given several times. Default: the first one."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Examples: `atlasflow demo` · `atlasflow demo --port 7860 --board laptop`")(demo)


def demo(
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's own lets others in.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one.")] = 0,
    boards: Boards = None,
    no_board: Annotated[bool, typer.Option("--no-board", help="Ask no board.")] = False,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Show the model on a page in the browser: drop a picture, see who answers what, and how fast. Ctrl-C ends it."""
    from infra.web import access, server  # noqa: PLC0415 - numpy and Pillow are for this command alone
    from tasks.demo import opened  # noqa: PLC0415

    if not server.installed():
        raise UserError(server.MISSING, hint=server.HOW)

    chain = open_chain(profile, parse_overrides(settings), Silent())
    chain.look_at_all()
    named = [] if no_board else boards or list(chain.settings.deploy.boards[:1])
    if host not in access.LOCAL:
        print_line(
            f"warning: everybody who reaches {host} and knows the address can upload pictures to this machine",
            style="yellow",
        )
    token = access.token_of(chain.home)
    with opened(chain, named) as page:
        server.serve(page, host, port, token, lambda address: print_line(f"demo: {address} (Ctrl-C ends it)"))
    print_line("demo: stopped")
