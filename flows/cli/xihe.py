"""`atlasflow import xihe` and `atlasflow export xihe`: projects of the xihe platform."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import export_files
from flows.cli.options import Profile, Set, pairs, parse_overrides
from flows.cli.output import print_facts, print_line, print_text
from flows.context import open_chain
from infra.errors import UserError
from infra.obs.layout import MODELS
from infra.settings import Settings
from infra.store.atomic import write_text
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.specs import recipe_settings, train_spec

import_app = typer.Typer(help="Import projects of other platforms as AtlasFlow settings.", no_args_is_help=True)
export_app = typer.Typer(help="Export models under usual names, and settings to other platforms.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(import_app, name="import", epilog="Example: `atlasflow import xihe config.json > mine.toml`")
    export_files.register(export_app)
    app.add_typer(export_app, name="export", epilog="Example: `atlasflow export xihe project/ --profile mine.toml`")


@import_app.command(
    "xihe",
    epilog="Examples: `atlasflow import xihe config.json --output mine.toml` · "
    "`atlasflow import xihe ResNet50/ --run --boot train.py --input data_path=cifar10/ --profile twin`",
)
def import_xihe(
    project: Annotated[Path, typer.Argument(help="A repository of xihe, or a training config in it.")],
    recipe: Annotated[str, typer.Option(help="The recipe that its hyper-parameters override.")] = "resnet50-tutorial",
    output: Annotated[Path | None, typer.Option(help="Write the profile to this file instead of printing it.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run the repository's own boot file as a job instead.")] = False,
    boot: Annotated[str, typer.Option(help="The form's boot file; empty: the config's.")] = "",
    code: Annotated[str, typer.Option(help="The form's code directory; empty: the config's, or train/.")] = "",
    name: Annotated[str, typer.Option(help="The form's name of the training; empty: the config's.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", help="A hyper-parameter of the form, name=value.")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--input", help="An input of the form and its copy, name=folder-or-file.")
    ] = None,
    output_name: Annotated[str, typer.Option(help="The form's argument for the output; empty: the config's.")] = "",
    fetch: Annotated[Path | None, typer.Option(help="With --run: copy the output to this folder.")] = None,
    profile: Profile = "twin",
    settings: Set = None,
) -> None:
    """Convert a xihe training config to a profile, or run a repository's own boot file.

    With --run, the other options are the fields of the platform's form, and --profile says where the job runs: on the
    stand-in, one training of a repository at a time and at most five.
    """
    if run:
        form = {"code": code, "boot": boot, "name": name, "output_name": output_name}
        chain = open_chain(profile, parse_overrides(settings), Silent())
        _run(chain, project, form, pairs(param, "--param"), pairs(given, "--input"), fetch)
        return
    _import(project, recipe, output)


def _import(project: Path, recipe: str, output: Path | None) -> None:
    from infra.xihe.config import read  # noqa: PLC0415
    from infra.xihe.conversion import to_settings  # noqa: PLC0415
    from models.spec.train_spec import TrainSpec  # noqa: PLC0415

    config = project / "train" / "config.json" if project.is_dir() else project
    if not config.is_file():
        raise UserError(f"there is no file {config}", hint="check the path; --run takes a form instead")
    names = [field.name for field in fields(TrainSpec)]
    imported = to_settings(read(config.read_text(encoding="utf-8")), recipe, names)
    # Check the arguments against the recipe's fields before the profile is written.
    recipe_settings(Settings.model_validate({"train": imported.settings["train"]}))
    text = imported.profile()
    if output is None:
        print(text, end="")
        return
    write_text(output, text)
    print_line(f"written: {output}")
    for note in imported.notes:
        print_line(f"  {note}")


def _run(
    chain: Chain,
    path: Path,
    form: Mapping[str, str],
    parameters: Mapping[str, str],
    inputs: Mapping[str, str],
    fetch: Path | None,
) -> None:
    """Run the boot file as the platform does, and print its log."""
    from infra.modelarts.logs import event_line  # noqa: PLC0415 - the SDK takes a while to import
    from infra.xihe.instances import Instances  # noqa: PLC0415
    from infra.xihe.repository import Form, open_repository, script_of  # noqa: PLC0415

    repository = open_repository(path, Form(**form, parameters=parameters, inputs=inputs))
    config, modelarts = repository.config, chain.settings.modelarts
    if modelarts.endpoint:
        modelarts = modelarts.model_copy(
            update={"engine": config.frameworks.framework_version, "flavor": config.train_instance_type}
        )
    else:
        print_line(f"{modelarts.engine} takes the place of {config.frameworks.framework_version or 'an engine'}")
    runs, store = chain.world.scripts(modelarts), chain.world.object_store()
    if not modelarts.endpoint:
        instances = Instances(chain.home / "xihe.json", repository.name, lambda text: runs.client.find(text, "0"))
        runs = replace(runs, admit=instances.admit)
    script = script_of(repository, inputs, store, chain.world.bucket, chain.settings.obs.prefix, modelarts)
    done = runs.run(script, lambda event: print_text(event_line(event)))
    facts = [("job", done.job.name), ("phase", done.job.phase), ("output", done.output)]
    print_facts(facts)
    if fetch is not None:
        store.files.copy_parallel(done.output, str(fetch))
        if (fetch / "db" / ".aim").is_dir():
            print_line(f"`atlasflow aim --repo {fetch / 'db'}` shows what the training tracked")


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
    print_line(f"{len(written.files)} files written to {folder}")
    if written.old:
        print_line(f"  the engine {loaded.modelarts.engine} has {written.old}: choose a newer one in modelarts.engine")
