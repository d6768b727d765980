"""`atlasflow obs`: create buckets; list, copy, remove and link objects, as the tutorials do with MoXing.

Source: docs/reference/modelarts.md §1.7.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from flows.cli import bucket
from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line
from flows.context import open_chain
from infra.errors import Refused, UserError
from infra.obs.address import ObjectAddress, parse_address
from infra.obs.variables import keys, variables
from infra.ports.values import OnBytes
from infra.store.local_files import describe_folder
from tasks.engine.reporter import Silent

if TYPE_CHECKING:
    from infra.obs.client import ObsClient

Address = Annotated[str, typer.Argument(help="obs://bucket/key, s3://bucket/key, or a path of this machine.")]

obs = typer.Typer(help="List buckets, and copy from, to and between them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    bucket.register(obs)
    app.add_typer(obs, name="obs", epilog="Example: `atlasflow obs copy obs://share-course/dataset/cifar10/ cifar10/`")


@obs.command("list", epilog="Examples: `atlasflow obs list obs://atlasflow/atlasflow/` · `… --recursive --json`")
def list_objects(
    address: Address,
    recursive: Annotated[bool, typer.Option("--recursive", help="List everything below, not one level.")] = False,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """List the names under a folder, one a line; folders end with a slash."""
    files = _client(address, profile, settings).files
    names = files.entries(address, recursive=recursive)
    if not names:
        if not files.exists(address):
            raise Refused(f"there is nothing at {address}", hint="check the address; `atlasflow obs list` its folder")
        names = [(address.rpartition("/")[2], files.size(address))]
    if as_json:
        print_json([{"name": name, "size": size} for name, size in names])
        return
    for name, size in names:
        print_line(f"{size:>14,}  {name}")


@obs.command(
    "copy",
    epilog="Examples: `atlasflow obs copy model.om obs://atlasflow/models/` · "
    "`atlasflow obs copy s3://share-course/dataset/cifar10/ cifar10/` · "
    "`atlasflow obs copy pictures/ obs://atlasflow/pictures.tar --archive`",
)
def copy_objects(
    source: Address,
    target: Address,
    archive: Annotated[
        bool, typer.Option("--archive", help="Upload a folder as one archive, or download and unpack one.")
    ] = False,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Copy one file, or everything under a folder, between buckets and this machine.

    An upload skips objects that have the same bytes already; a download is verified. A target that ends with a slash is
    a folder.
    """
    client = _client(source if "://" in source else target, profile, settings)
    _make_bucket(target, profile, settings)
    with _progress() as moved:
        if archive:
            copied = _copy_archive(source, target, profile, settings, moved)
        elif not _is_single(client, source) and client.files.is_directory(source):
            copied = f"{len(client.files.copy_parallel(source, target, progress=moved))} files"
        else:
            name = source.rpartition("/")[2]
            folder = target.endswith("/") or ("://" not in target and Path(target).is_dir())
            client.files.copy(source, f"{target.rstrip('/')}/{name}" if folder else target, moved)
            copied = name
    print_line(f"copied {copied} to {target}{_stand_in(client)}")


@obs.command(
    "remove", epilog="Examples: `atlasflow obs remove obs://atlasflow/old.om` · `… obs://atlasflow/old/ --recursive`"
)
def remove_objects(
    address: Address,
    recursive: Annotated[bool, typer.Option("--recursive", help="Remove everything under the address.")] = False,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Remove an object, or with --recursive everything under a folder; absent ones are not an error."""
    ObjectAddress.parse(address)
    _client(address, profile, settings).files.remove(address, recursive=recursive)


@obs.command("link", epilog="Example: `atlasflow obs link obs://atlasflow/models/resnet50.om --seconds 3600`")
def link_object(
    address: Address,
    seconds: Annotated[int | None, typer.Option(help="Lifetime of the link; default: obs.link_seconds.")] = None,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Print a link under which anybody can fetch the object until it expires."""
    chosen = [*(settings or []), *([] if seconds is None else [f"obs.link_seconds={seconds}"])]
    key = ObjectAddress.parse_object(address).key
    client = _client(address, profile, chosen)
    client.files.size(address)  # raises when there is no such object
    print(client.link(key))


@obs.command("env", epilog='Examples: `eval "$(atlasflow obs env)"` · `atlasflow obs env --profile twin --json`')
def print_variables(profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """Print what to export so that other programs reach the same object store: S3 clients, and Huawei's own.

    The stand-in is started when it is needed, and its keys are printed. Your own keys are not: their variables refer to
    those of AtlasFlow.
    """
    from infra.obs.emulator import seaweedfs  # noqa: PLC0415 - boto3 is for those who use it

    chain = open_chain(profile, parse_overrides(settings), Silent())
    store = chain.settings.obs
    if not store.endpoint:
        _client("", profile, settings)
    reached = seaweedfs.reached(store, chain.world.services, chain.home)
    found = {**variables(reached), **keys(reached, emulated=not store.endpoint)}
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        # Only a reference to a variable is left to the shell.
        print(f"export {name}=" + (f'"{value}"' if value.startswith("$") else shlex.quote(value)))


def _client(address: str, profile: str, settings: list[str] | None) -> "ObsClient":
    """Return a client of the address's bucket; of the settings' bucket for a path of this machine, or none."""
    from infra.obs.factory import open_bucket  # noqa: PLC0415 - boto3 is for those who use it

    chain = open_chain(profile, parse_overrides(settings), Silent())
    found = parse_address(address) if address else None
    bucket = {} if found is None else {"bucket": found.bucket}
    obs_settings = chain.settings.obs.model_copy(update=bucket)
    return open_bucket(obs_settings, chain.world.services, chain.home, chain.settings.retry)


def _make_bucket(target: str, profile: str, settings: list[str] | None) -> None:
    """Create the bucket of the settings when it is missing, as `upload` does, but no other one."""
    found = parse_address(target)
    chain = open_chain(profile, parse_overrides(settings), Silent())
    if found is not None and found.bucket == chain.settings.obs.bucket:
        _client(target, profile, settings).ensure_bucket()


def _copy_archive(source: str, target: str, profile: str, settings: list[str] | None, moved: OnBytes) -> str:
    origin, goal = parse_address(source), parse_address(target)
    if origin is None and goal is not None and goal.key and Path(source).is_dir():
        files = describe_folder(Path(source))
        sent = _client(target, profile, settings).sync_archive(goal.key, files, moved).sent
        return f"{len(files)} files as one archive" if sent else "nothing, as the same archive is there,"
    if origin is not None and goal is None and origin.key:
        _client(source, profile, settings).get_archive(origin.key, Path(target), progress=moved)
        return "and unpacked the archive"
    raise UserError(
        "--archive needs a folder of this machine and an object",
        hint="write `atlasflow obs copy FOLDER obs://bucket/name.tar --archive`, or the reverse",
    )


def _is_single(client: "ObsClient", source: str) -> bool:
    """Tell whether the source is one object or file; it may be readable where listing is not allowed."""
    return not source.endswith("/") and client.files.is_file(source)


@contextmanager
def _progress() -> Iterator[OnBytes]:
    """Show the bytes copied, on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("copying", total=None)
        yield lambda count: bar.update(task, advance=count)


def _stand_in(client: "ObsClient") -> str:
    return " (stand-in)" if client.emulated else ""
