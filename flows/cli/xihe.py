"""`atlasflow import xihe` and `atlasflow export xihe`: projects of the xihe platform."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from infra.errors import UserError
from infra.obs.layout import MODELS
from infra.settings import Settings
from infra.store.atomic import write_text
from tasks.engine.reporter import Silent
from tasks.specs import recipe_settings, train_spec

import_app = typer.Typer(help="Import projects of other platforms as AtlasFlow settings.", no_args_is_help=True)
export_app = typer.Typer(help="Export AtlasFlow settings to other platforms.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(import_app, name="import", epilog="Example: `atlasflow import xihe config.json > mine.toml`")
    app.add_typer(export_app, name="export", epilog="Example: `atlasflow export xihe project/ --profile mine.toml`")


@import_app.command("xihe", epilog="Example: `atlasflow import xihe config.json --output mine.toml`")
def import_xihe(
    config: Annotated[Path, typer.Argument(help="A xihe training config.")],
    recipe: Annotated[str, typer.Option(help="The recipe that its hyper-parameters override.")] = "resnet50-tutorial",
    output: Annotated[Path | None, typer.Option(help="Write the profile to this file instead of printing it.")] = None,
) -> None:
    """Convert a xihe training config to a profile."""
    from infra.xihe.config import read, to_settings  # noqa: PLC0415

    if not config.is_file():
        raise UserError(f"there is no file {config}", hint="check the path")
    imported = to_settings(read(config.read_text(encoding="utf-8")), recipe)
    # Check the arguments against the recipe's fields before the profile is written.
    recipe_settings(Settings.model_validate({"train": imported.settings["train"]}))
    text = imported.profile()
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        print_line(f"written: {output}")


@export_app.command("xihe", epilog="Example: `atlasflow export xihe project/ --profile mine.toml`")
def export_xihe(
    folder: Annotated[Path, typer.Argument(help="A new folder for the project.")],
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Write a xihe project (training with two configs, inference page) for a profile's settings."""
    from infra.xihe.project import write_project  # noqa: PLC0415
    from models.data.records import NAMES  # noqa: PLC0415 - imports NumPy

    loaded = open_chain(profile, parse_overrides(settings), Silent()).settings
    spec = train_spec(loaded)
    if spec.normalisation == "measured":
        raise UserError("the platform does not measure a data set", hint="set train.normalisation to its numbers")
    # The platform trains on CIFAR-10's files; with other numbers of classes, it is another data set in their form.
    names = NAMES if spec.classes == len(NAMES) else [str(number) for number in range(spec.classes)]
    written = write_project(loaded, recipe_settings(loaded), names, MODELS, folder)
    print_line(f"{len(written)} files written to {folder}")
