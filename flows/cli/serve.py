"""`atlasflow serve`, `worker` and `deployments`: flows on a schedule, from the Prefect UI, and on other machines."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.output import print_line
from flows.cli.run import Profile
from flows.context import open_chain
from flows.server import prepare_server
from infra.errors import UserError
from infra.home import CHECKOUT
from infra.prefect_server import server
from infra.store.atomic import write_text
from tasks.engine.reporter import Silent

PREFECT_YAML = CHECKOUT / "prefect.yaml"
WORK_POOL_TEMPLATE = CHECKOUT / "infra" / "work-pool.json"
WORK_POOL = "atlasflow"

Limit = Annotated[int, typer.Option(min=1, max=64, help="Flow runs at once; further ones wait.")]

deployments = typer.Typer(help="Look after the Prefect deployments.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command(epilog="Example: `atlasflow serve --limit 2`")(serve)
    app.command(epilog="Example: `atlasflow worker --limit 1`")(worker)
    app.add_typer(deployments, name="deployments", epilog="Example: `atlasflow deployments write`")


def serve(limit: Limit = 2, profile: Profile = "local") -> None:
    """Serve every flow from this machine until Ctrl-C: schedules start, and the Prefect UI's Run buttons work."""
    _connect(profile)
    prepare_server(open_chain(profile, {}, Silent()), profile, {})
    # Prefect reads its settings while it is imported, so it must not be imported before they are there.
    from prefect import serve as prefect_serve  # noqa: PLC0415

    from flows.deployments import runner_deployments  # noqa: PLC0415

    profile = _everywhere(profile)
    os.chdir(CHECKOUT)  # where the entry points are looked for
    prefect_serve(*runner_deployments(profile), limit=limit, pause_on_shutdown=False)


def worker(
    limit: Limit = 1,
    health_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Answer health checks at this port of 127.0.0.1; 0: none.")
    ] = 0,
    profile: Profile = "local",
) -> None:
    """Take flow runs from the work pool `atlasflow`, until Ctrl-C; start one on each machine that shall work."""
    _connect(profile)
    _make_work_pool()
    health = ("--with-healthcheck",) if health_port else ()
    if health:
        os.environ |= {"PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1", "PREFECT_WORKER_WEBSERVER_PORT": str(health_port)}
    os.chdir(CHECKOUT)
    # In our place, so that whoever ends this process, as a container's host does, ends the worker.
    words = ("worker", "start", "--pool", WORK_POOL, "--type", "process", "--limit", str(limit), *health)
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *words])  # noqa: S606 - an argument list, no shell


@deployments.command("write", epilog="Example: `atlasflow deployments write`")
def write() -> None:
    """Write prefect.yaml anew from flows/deployments.py."""
    from flows.deployments import prefect_yaml  # noqa: PLC0415 - imports Prefect

    write_text(PREFECT_YAML, prefect_yaml())
    print_line(f"written: {PREFECT_YAML}")


@deployments.command("apply", epilog="Example: `atlasflow deployments apply`")
def apply(profile: Profile = "local") -> None:
    """Tell the Prefect server about every deployment, for the workers of the pool; their runs have this profile."""
    _connect(profile)
    from flows.deployments import PLANS, prefect_yaml  # noqa: PLC0415 - imports Prefect, which reads its settings then

    _make_work_pool()
    with TemporaryDirectory() as folder:
        file = Path(folder) / PREFECT_YAML.name
        write_text(file, prefect_yaml(_everywhere(profile)))
        _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(file))
    prepare_server(open_chain(profile, {}, Silent()), profile, {})
    print_line(f"{len(PLANS)} deployments wait for workers of the pool {WORK_POOL}; `atlasflow worker` starts one")


def _everywhere(profile: str) -> str:
    """The profile as a flow run finds it, whatever folder it works in."""
    return str(Path(profile).resolve()) if profile.endswith(".toml") else profile


def _make_work_pool() -> None:
    template = str(WORK_POOL_TEMPLATE)
    _prefect("work-pool", "create", WORK_POOL, "--type", "process", "--base-job-template", template, "--overwrite")


def _connect(profile: str) -> None:
    """Start the installation's Prefect server when it is ours and not up, and point this process to it."""
    chain = open_chain(profile, {}, Silent())
    services, settings = chain.world.services, chain.settings.prefect
    with Console(stderr=True).status(f"Prefect server at {server.address(services, settings)}"):
        server.start(services, chain.home, settings)
    os.environ.update(server.environment(services, chain.home, settings))


def _prefect(*words: str) -> None:
    """Run a command of Prefect; what it says, which is much and about its own commands, is shown when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise UserError(f"`prefect {' '.join(words)}` ended with exit code {done.returncode}", hint="it said why above")
