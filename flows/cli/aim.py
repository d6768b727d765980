"""The command `aim`: the trainings of this home as Aim shows them."""

import typer
from rich.console import Console

from flows.cli.fresh_run import Printer
from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from infra.errors import UserError
from infra.tracking import repository
from infra.web import access
from tasks.aim import track_all


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Examples: `atlasflow aim` · `atlasflow down` stops it")(aim)


def aim(profile: Profile = "local", settings: Set = None) -> None:
    """Show every training in Aim: curves by step and epoch, hyper-parameters, comparisons; on 127.0.0.1."""
    if not repository.installed():
        raise UserError(repository.MISSING, hint=repository.HOW)
    printer = Printer()
    chain = open_chain(profile, parse_overrides(settings), printer)
    console = Console()
    with console.status("writing trainings that Aim does not know"):
        count = track_all(chain, printer)
    services = chain.world.services
    service = repository.pages(services, chain.home, chain.settings.tracking)
    with console.status("starting Aim"):
        started = services.start(service)
    print_line(
        f"Aim: {'started' if started else 'was up'}, {access.with_token(service.address, access.token_of(chain.home))}"
    )
    shown = f"{count} training{'s' if count != 1 else ''}" if count else "no training yet: `atlasflow run --to train`"
    print_line(f"It shows {shown}. `atlasflow down` stops it.")
