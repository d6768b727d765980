"""Commands for the cloud: ModelArts notebook instances, jobs that nobody waits for, and xihe projects."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.inspecting import Json
from flows.commands.running import Profile, Set, parse_overrides
from flows.opening import open_chain
from infra.errors import UserError
from infra.obs.places import MODELS
from infra.store.atomic import write_text
from tasks.recipe import recipe_settings
from tasks.reporting import Silent
from tasks.stage import Chain

if TYPE_CHECKING:
    from infra.training.notebooks import Notebook, Notebooks

Name = Annotated[str, typer.Argument(help="Name or id of the instance.")]

notebook = typer.Typer(help="Drive ModelArts notebook instances.", no_args_is_help=True)
jobs = typer.Typer(help="Look after training jobs on ModelArts.", no_args_is_help=True)
importing = typer.Typer(help="Turn what other platforms know into AtlasFlow settings.", no_args_is_help=True)
exporting = typer.Typer(help="Turn AtlasFlow settings into what other platforms know.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(notebook, name="notebook", epilog="Example: `atlasflow notebook create lesson-1 --profile cloud`")
    app.add_typer(jobs, name="jobs", epilog="Example: `atlasflow jobs orphans --stop --profile cloud`")
    app.add_typer(importing, name="import", epilog="Example: `atlasflow import xihe config.json > mine.toml`")
    app.add_typer(exporting, name="export", epilog="Example: `atlasflow export xihe project/ --profile mine.toml`")


def _chain(profile: str, settings: list[str] | None) -> Chain:
    return open_chain(profile, parse_overrides(settings), Silent())


def _notebooks(profile: str, settings: list[str] | None) -> "Notebooks":
    from infra.training.notebooks import Notebooks  # noqa: PLC0415 - the SDK takes a while to import

    chain = _chain(profile, settings)
    return Notebooks(chain.world.modelarts(), chain.settings.modelarts)


def _show(found: "Sequence[Notebook]", as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(item) for item in found], indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "status", "flavor", "image", "opens at", "id"):
        table.add_column(title, overflow="fold")
    for item in found:
        table.add_row(item.name, item.status, item.flavor, item.image, item.url, item.id)
    Console().print(table)


@notebook.command("create", epilog="Example: `atlasflow notebook create lesson-1 --profile cloud`")
def create_notebook(name: Name, profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """Create an instance (image, flavor, storage, hours as in [modelarts.notebook]) and wait until it runs."""
    _show([_notebooks(profile, settings).create(name)], as_json)


@notebook.command("start", epilog="Example: `atlasflow notebook start lesson-1`")
def start_notebook(name: Name, profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """Start an instance and wait until it runs."""
    _show([_notebooks(profile, settings).start(name)], as_json)


@notebook.command("stop", epilog="Example: `atlasflow notebook stop lesson-1`")
def stop_notebook(name: Name, profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """Stop an instance; its disk is kept."""
    _show([_notebooks(profile, settings).stop(name)], as_json)


@notebook.command("list", epilog="Example: `atlasflow notebook list --json`")
def list_notebooks(profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """List the instances of the project."""
    _show(list(_notebooks(profile, settings).list()), as_json)


@notebook.command("delete", epilog="Example: `atlasflow notebook delete lesson-1`")
def delete_notebook(name: Name, profile: Profile = "cloud", settings: Set = None) -> None:
    """Delete an instance together with its disk."""
    _notebooks(profile, settings).delete(name)
    Console().print(f"{name}: deleted", highlight=False)


@jobs.command("orphans", epilog="Example: `atlasflow jobs orphans --stop --profile cloud`")
def orphans(
    stop: Annotated[bool, typer.Option("--stop", help="Stop them; without it they are only listed.")] = False,
    profile: Profile = "cloud",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Find training jobs of ours that cost money while nobody waits for them."""
    from infra.training.modelarts import ModelArtsTrainer  # noqa: PLC0415

    chain = _chain(profile, settings)
    trainer = chain.world.trainer()
    if not isinstance(trainer, ModelArtsTrainer):
        raise UserError(f"the profile {profile} does not train on ModelArts", hint="use --profile cloud or twin")
    found = trainer.orphans()
    for job in found if stop else ():
        trainer.client.stop(job.id)
    rows = [{"name": job.name, "id": job.id, "phase": job.phase, "stopped": stop} for job in found]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    word = "stopped" if stop else "found; --stop ends them"
    Console().print(f"{len(rows)} jobs {word}", highlight=False)
    for row in rows:
        Console().print(f"  {row['name']} ({row['phase']})", highlight=False)


@importing.command("xihe", epilog="Example: `atlasflow import xihe config.json --output mine.toml`")
def import_xihe(
    config: Annotated[Path, typer.Argument(help="A xihe training config.")],
    recipe: Annotated[str, typer.Option(help="The recipe that its hyper-parameters change.")] = "resnet50-tutorial",
    output: Annotated[Path | None, typer.Option(help="Write the profile here instead of printing it.")] = None,
) -> None:
    """Turn a xihe training config into a profile."""
    from infra.training.xihe import read, to_settings  # noqa: PLC0415

    if not config.is_file():
        raise UserError(f"there is no file {config}")
    text = to_settings(read(config.read_text(encoding="utf-8")), recipe).profile()
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        Console().print(f"written: {output}", highlight=False)


@exporting.command("xihe", epilog="Example: `atlasflow export xihe project/ --profile mine.toml`")
def export_xihe(
    folder: Annotated[Path, typer.Argument(help="A new folder for the project.")],
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Write a whole xihe project (training with two configs, inference page) for the settings of a profile."""
    from infra.training.xihe_project import write_project  # noqa: PLC0415

    loaded = _chain(profile, settings).settings
    written = write_project(loaded, recipe_settings(loaded), MODELS, folder)
    Console().print(f"{len(written)} files written to {folder}", highlight=False)
