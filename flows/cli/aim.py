"""The command `aim`: the trainings of this home as Aim shows them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.fresh_run import Printer
from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from infra.errors import UserError
from infra.services import Service
from infra.tracking import repository
from infra.web import access
from tasks.aim import track_all
from tasks.engine.chain import Chain


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Examples: `atlasflow aim` · `atlasflow aim --repo out/db`")(aim)


def aim(
    repo: Annotated[
        Path | None, typer.Option(help="Show this Aim repository, such as the `db` of a xihe training, instead.")
    ] = None,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Show every training in Aim: curves by step and epoch, hyper-parameters, comparisons; on 127.0.0.1."""
    if not repository.installed():
        raise UserError(repository.MISSING, hint=repository.HOW)
    printer = Printer()
    chain = open_chain(profile, parse_overrides(settings), printer)
    console = Console()
    if repo is not None:
        _show_own(chain, repo.resolve(), console)
        return
    with console.status("writing trainings that Aim does not know"):
        count = track_all(chain, printer)
    _start(chain, repository.pages(chain.world.services, chain.home, chain.settings.tracking), console)
    shown = f"{count} training{'s' if count != 1 else ''}" if count else "no training yet: `atlasflow run --to train`"
    print_line(f"It shows {shown}. `atlasflow down` stops it.")


def _show_own(chain: Chain, folder: Path, console: Console) -> None:
    """Show an Aim repository of somebody else; one at a time."""
    if not (folder / ".aim").is_dir():
        raise UserError(f"{folder} is no Aim repository: it has no .aim", hint="a training writes one to its aim_repo")
    chain.world.services.stop(repository.OWN)
    _start(chain, repository.pages(chain.world.services, chain.home, chain.settings.tracking, folder), console)


def _start(chain: Chain, service: Service, console: Console) -> None:
    with console.status("starting Aim"):
        started = chain.world.services.start(service)
    print_line(
        f"Aim: {'started' if started else 'was up'}, {access.with_token(service.address, access.token_of(chain.home))}"
    )
