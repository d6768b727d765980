"""`atlasflow serve` and `atlasflow worker`: run flows on a schedule, from the Prefect UI, and on other machines."""

import os
import sys
import warnings
from typing import Annotated

import typer

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.server import WORK_POOL, absolute_profile, connect, create_work_pool, prepare_server
from infra.home import CHECKOUT
from infra.prefect_server import server

Limit = Annotated[int, typer.Option(min=1, max=64, help="Flow runs at once; further ones wait.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Example: `atlasflow serve --limit 2`")(serve)
    app.command(epilog="Example: `atlasflow worker --limit 1`")(worker)


def serve(limit: Limit = 2, profile: Profile = "local", settings: Set = None) -> None:
    """Serve every flow from this machine until Ctrl-C: schedules start, and the Prefect UI's Run buttons work.

    Settings given here are those of its runs, unless a run's request names others.
    """
    overrides = parse_overrides(settings)
    chain = connect(profile, overrides)
    prepare_server(chain, profile, overrides)
    # Prefect reads its settings while it is imported, so `connect` must come first.
    from prefect import serve as prefect_serve  # noqa: PLC0415

    from flows.deployments import read_timetables, runner_deployments  # noqa: PLC0415

    schedule = chain.settings.retrain
    deployments = runner_deployments(absolute_profile(profile), schedule, read_timetables(), overrides)
    if login := server.login_note(chain.world.services, chain.home, chain.settings.prefect):
        print_line(login)
    os.chdir(CHECKOUT)  # entry points are relative to it
    # On SIGTERM Prefect ends as it does on Ctrl-C, but not without this.
    warnings.filterwarnings("ignore", "coroutine 'Runner.astop' was never awaited", RuntimeWarning)
    prefect_serve(*deployments, limit=limit, pause_on_shutdown=False)


def worker(
    limit: Limit = 1,
    health_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Answer health checks at this port of 127.0.0.1; 0: none.")
    ] = 0,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Take flow runs from the work pool `atlasflow` until Ctrl-C; start one worker on each machine."""
    connect(profile, parse_overrides(settings))
    create_work_pool()
    health = ("--with-healthcheck",) if health_port else ()
    if health:
        os.environ |= {"PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1", "PREFECT_WORKER_WEBSERVER_PORT": str(health_port)}
    os.chdir(CHECKOUT)
    # Replace this process, so that a signal that ends it, such as a container's, reaches the worker.
    words = ("worker", "start", "--pool", WORK_POOL, "--type", "process", "--limit", str(limit), *health)
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *words])  # noqa: S606 - an argument list, no shell
