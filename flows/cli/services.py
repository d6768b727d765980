"""`atlasflow up` and `atlasflow down`: start and stop the local services."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from flows.server import prepare_server, receivers
from infra.home import home
from infra.prefect_server import server as prefect_server
from infra.services import Services
from infra.settings import PrefectSettings, Settings
from tasks.engine.reporter import Silent


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Examples: `atlasflow up` · `atlasflow up --profile twin`")(up)
    app.command(epilog="Example: `atlasflow down`")(down)


def up(
    profile: Profile = "local",
    settings: Set = None,
    show_credentials: Annotated[
        bool, typer.Option("--show-credentials", help="Print keys, certificate and proxy of the stand-ins, for others.")
    ] = False,
) -> None:
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
    if show_credentials:
        for line in credentials(chain.settings, services, chain.home):
            print_line(line)


def credentials(settings: Settings, services: Services, home: Path) -> Iterator[str]:
    """Yield lines with what other programs need to reach the stand-ins that the settings use; no key of a user."""
    from infra.modelarts.emulator import server  # noqa: PLC0415 - the SDK is for those who use it
    from infra.obs.emulator import seaweedfs  # noqa: PLC0415

    if settings.obs.endpoint:
        yield "object store: not a stand-in; its keys are yours"
    else:
        store = seaweedfs.reached(settings.obs, services, home)
        yield f"object store: {store.endpoint}, region {store.region}"
        yield f"  access key {store.access_key.get_secret_value()}, secret key {store.secret_key.get_secret_value()}"
        if store.proxy:
            yield f"  proxy {store.proxy}, certificate {store.ca}"
        yield "  as variables: atlasflow obs env"
    if settings.train.target == "modelarts" and not settings.modelarts.endpoint:
        found = server.reach(settings.modelarts, services, home)
        yield f"ModelArts: {found.endpoint}, project {found.project_id}"
        yield f"  access key {found.access_key.get_secret_value()}, secret key {found.secret_key.get_secret_value()}"


def down() -> None:
    """Stop the local services that were started here; their data stays."""
    services = Services(home())
    for status in services.status():
        if services.stop(status.name):
            print_line(f"{status.title}: stopped")
    print_line("No local service is running.")
    if note := prefect_server.note(services, PrefectSettings()):
        print_line(note)
