"""`atlasflow notebook`: notebook instances on ModelArts, and notebooks for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table
from flows.context import open_chain
from infra.errors import UserError
from infra.obs.layout import MODELS
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.specs import recipe_settings

if TYPE_CHECKING:
    from infra.modelarts.notebooks import Notebook, Notebooks

Name = Annotated[str, typer.Argument(help="Name or id of the instance.")]

notebook = typer.Typer(help="Manage ModelArts notebook instances, and write notebooks for them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(notebook, name="notebook", epilog="Example: `atlasflow notebook create lesson-1 --profile cloud`")


@notebook.command("create", epilog="Example: `atlasflow notebook create lesson-1 --profile cloud`")
def create_notebook(name: Name, profile: Profile = "cloud", settings: Set = None, as_json: Json = False) -> None:
    """Create an instance ([modelarts.notebook] sets image, flavor, storage, hours) and wait until it runs."""
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


@notebook.command("sync", epilog="Example: `atlasflow notebook sync lesson-1 --profile twin`")
def sync_notebook(name: Name, profile: Profile = "twin", settings: Set = None, as_json: Json = False) -> None:
    """Fetch what is new or changed in the storage of a running instance, as "Sync OBS" in its File menu does.

    A file that changed on both sides stays as it is. Shell scripts lose their Windows line ends.
    """
    from infra.modelarts.notebook_storage import sync  # noqa: PLC0415 - only this command needs it

    chain = _chain(profile, settings)
    if chain.settings.modelarts.endpoint:
        raise UserError("the platform offers no call for Sync OBS", hint="press it in the notebook's own page")
    found = sync(_notebooks_of(chain).find(name))
    if as_json:
        print_json(found)
        return
    for text, names in (
        ("fetched", found.fetched),
        ("Windows line ends removed", found.repaired),
        ("changed here too, and kept", found.kept),
    ):
        print_line(f"{text}: {', '.join(names) or 'none'}")


@notebook.command("delete", epilog="Example: `atlasflow notebook delete lesson-1`")
def delete_notebook(name: Name, profile: Profile = "cloud", settings: Set = None) -> None:
    """Delete an instance together with its disk."""
    _notebooks(profile, settings).delete(name)
    print_line(f"{name}: deleted")


@notebook.command(
    "write",
    epilog="Examples: `atlasflow notebook write lesson/` · `atlasflow notebook write lesson/ "
    "--data obs://my-bucket/cifar10/ --set train.recipe=resnet50-tutorial`",
)
def write(
    folder: Annotated[Path, typer.Argument(help="A new folder, ready for any Jupyter.")],
    data: Annotated[
        str,
        typer.Option(help="Address of the notebook's data, such as obs://bucket/folder/; empty: a copy in the folder."),
    ] = "",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Write a notebook with the profile's training, evaluation and export, for ModelArts or any Jupyter."""
    from infra.modelarts.notebook_file import write_notebook  # noqa: PLC0415 - only this command needs it

    chain = _chain(profile, settings)
    spec = recipe_settings(chain.settings)
    files = {} if data else _data_files(chain)
    title = f"{chain.settings.train.recipe}"
    written = write_notebook(folder, title, spec, MODELS, data or "data", files)
    print_line(f"written: {written}, with the code in models/{'' if data else ' and the data in data/'}")


def _data_files(chain: Chain) -> dict[str, Path]:
    """Return the files of the data set, downloaded if necessary."""
    receipt = chain.run(chain.stages["download"]).receipt
    return {name: file.path for name, file in chain.store.files(receipt.outputs["data"]).items()}


def _chain(profile: str, settings: list[str] | None) -> Chain:
    return open_chain(profile, parse_overrides(settings), Silent())


def _notebooks(profile: str, settings: list[str] | None) -> "Notebooks":
    return _notebooks_of(_chain(profile, settings))


def _notebooks_of(chain: Chain) -> "Notebooks":
    from infra.modelarts.notebooks import Notebooks  # noqa: PLC0415 - the SDK takes a while to import

    return Notebooks(chain.world.modelarts(), chain.settings.modelarts)


def _show(found: "Sequence[Notebook]", as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [(item.name, item.status, item.flavor, item.image, item.url, item.id) for item in found]
    print_table(("name", "status", "flavor", "image", "opens at", "id"), rows)
