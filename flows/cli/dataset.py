"""`atlasflow dataset`: the data set of a chain as a folder, for own scripts."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from flows.context import open_chain
from infra import cifar10_files
from infra.errors import UserError
from infra.ports.values import LocalFile
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Example: `atlasflow dataset cifar10`")(dataset)


def dataset(
    folder: Annotated[Path, typer.Argument(help="The new folder; it gets train/, eval/ and batches.meta.txt.")],
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Write the data set as MindSpore's Cifar10Dataset reads it: files of 10,000 images.

    A smaller data set, as the sample, is repeated until its files are full.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", hint="name a new folder")
    chain = open_chain(profile, parse_overrides(settings), Silent())
    counts = cifar10_files.write(data_files(chain), folder)
    for part, count in counts.items():
        print_line(f"{folder / part}: {count:,} different images")


def data_files(chain: Chain) -> dict[str, LocalFile]:
    """Return the files of the chain's data set, by path in it.

    Raises:
        UserError: the chain has not downloaded it.
    """
    chain.look_at_all()
    if "download" not in chain.known:
        raise UserError("there is no data set yet", hint="`atlasflow run --to download` gets it")
    return chain.store.files(chain.known["download"].outputs["data"])
