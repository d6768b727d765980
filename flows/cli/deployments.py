"""`atlasflow deployments`: write prefect.yaml, and apply the deployments to the Prefect server."""

from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from flows.cli.options import Profile
from flows.cli.output import print_line
from flows.server import WORK_POOL, absolute_profile, connect, create_work_pool, prefect_command, prepare_server
from infra.home import CHECKOUT
from infra.store.atomic import write_text

PREFECT_YAML = CHECKOUT / "prefect.yaml"

deployments = typer.Typer(help="Look after the Prefect deployments.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(deployments, name="deployments", epilog="Example: `atlasflow deployments write`")


@deployments.command("write", epilog="Example: `atlasflow deployments write`")
def write() -> None:
    """Write prefect.yaml from flows/deployments.py, with the default schedule."""
    from flows.deployments import prefect_yaml  # noqa: PLC0415 - imports Prefect

    write_text(PREFECT_YAML, prefect_yaml())
    print_line(f"written: {PREFECT_YAML}")


@deployments.command("apply", epilog="Example: `atlasflow deployments apply`")
def apply(profile: Profile = "local") -> None:
    """Create or update every deployment on the Prefect server, for the workers of the pool, with this profile."""
    chain = connect(profile, {})
    from flows.deployments import prefect_yaml  # noqa: PLC0415 - imports Prefect, which reads its settings then

    create_work_pool()
    with TemporaryDirectory() as folder:
        file = Path(folder) / PREFECT_YAML.name
        write_text(file, prefect_yaml(absolute_profile(profile), chain.settings.retrain))
        prefect_command("--no-prompt", "deploy", "--all", "--prefect-file", str(file))
    prepare_server(chain, profile, {})
    print_line(f"deployments wait for workers of the pool {WORK_POOL}; `atlasflow worker` starts one")
