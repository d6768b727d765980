"""`atlasflow up` and `atlasflow down`: start and stop the local services."""

import typer
from rich.console import Console

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from flows.server import prepare_server, receivers
from infra.home import home
from infra.prefect_server import server as prefect_server
from infra.services import Services
from infra.settings import PrefectSettings
from tasks.engine.reporter import Silent


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Examples: `atlasflow up` · `atlasflow up --profile twin`")(up)
    app.command(epilog="Example: `atlasflow down`")(down)


def up(profile: Profile = "local", settings: Set = None) -> None:
    """Start the local services: the Prefect server, and the stand-ins that the profile needs."""
    overrides = parse_overrides(settings)
    chain = open_chain(profile, overrides, Silent())
    services = chain.world.services
    console = Console()
    server, outside = chain.settings.prefect, prefect_server.outside(services, chain.settings.prefect)
    own = [] if outside else [prefect_server.service(services, chain.home, server)]
    if outside:
        prefect_server.start(services, chain.home, server)
        print_line(prefect_server.note(services, server))
    for service in (*own, *chain.world.local_services()):
        with console.status(f"starting {service.title}"):
            started = services.start(service)
        print_line(f"{service.title}: {'started' if started else 'was up'}, {services.address(service.name)}")
    if login := prefect_server.login_note(services, chain.home, server):
        print_line(login)
    with console.status("setting up limits and automations on the Prefect server"):
        prepare_server(chain, profile, overrides)
    print_line(f"notifications: {receivers(chain.settings)}")


def down() -> None:
    """Stop the local services that were started here; their data stays."""
    services = Services(home())
    for status in services.status():
        if services.stop(status.name):
            print_line(f"{status.title}: stopped")
    print_line("No local service is running.")
    if note := prefect_server.note(services, PrefectSettings()):
        print_line(note)
