"""`atlasflow obs create-bucket` and `obs upload`: what the tutorials do on the console's pages of a bucket."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_json, print_line, print_table, printable
from infra.errors import Refused, UserError
from tasks.engine.reporter import Silent

if TYPE_CHECKING:
    from infra.obs.client import ObsClient
    from infra.settings import ObsSettings

CLASSES = {"standard": "STANDARD", "infrequent": "STANDARD_IA", "archive": "GLACIER"}


def register(obs: typer.Typer) -> None:
    """Add the commands to the group."""
    obs.command(
        "create-bucket",
        epilog="Examples: `atlasflow obs create-bucket ms-course --policy public-read` · "
        "`… --redundancy multi --storage-class archive --direct-read --region cn-north-4`",
    )(create_bucket)
    obs.command(
        "upload",
        epilog="Example: `atlasflow obs upload experiment_3/ obs://ms-course/experiment_3/`; again continues it",
    )(upload)


def create_bucket(
    name: Annotated[str, typer.Argument(metavar="BUCKET", help="Name, or obs://name.")],
    redundancy: Annotated[
        Literal["single", "multi"] | None, typer.Option(help="Availability zones; default: obs.redundancy.")
    ] = None,
    storage_class: Annotated[
        Literal["standard", "infrequent", "archive"] | None,
        typer.Option(help="Default class of the objects; default: obs.storage_class."),
    ] = None,
    policy: Annotated[
        Literal["private", "public-read", "public-read-write"] | None,
        typer.Option(help="Who may read or write; default: obs.acl."),
    ] = None,
    direct_read: Annotated[
        bool | None,
        typer.Option("--direct-read/--no-direct-read", help="Read archived objects without restoring them."),
    ] = None,
    region: Annotated[str, typer.Option(help="Region; default: obs.region, the end point's.")] = "",
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Create a bucket; one that exists is left as it is, and must have the same zones and class."""
    chosen = {
        "bucket": name.removeprefix("obs://").strip("/"),
        **({"redundancy": redundancy} if redundancy else {}),
        **({"storage_class": CLASSES[storage_class]} if storage_class else {}),
        **({"acl": policy} if policy else {}),
        **({} if direct_read is None else {"direct_read": str(direct_read).lower()}),
    }
    overrides = parse_overrides(settings) | {f"obs.{key}": value for key, value in chosen.items()}
    client, wanted = _open(profile, overrides)
    created = client.ensure_bucket(region)
    facts = client.facts()
    told = {"region": facts.region, "storage_class": facts.storage_class, "redundancy": facts.redundancy}
    asked = {"region": region or wanted.region, "storage_class": wanted.storage_class, "redundancy": wanted.redundancy}
    other = {key: value for key, value in told.items() if value and value != asked[key]}
    if other:
        found = _text(other)
        raise Refused(
            f"bucket {client.bucket} exists already, with {found}", hint="choose another name, or the same properties"
        )
    if as_json:
        print_json({"bucket": client.bucket, "created": created, "stand_in": client.emulated, **told})
        return
    known = _text({key: value for key, value in told.items() if value})
    print_line(
        f"bucket {client.bucket} {'created' if created else 'was there already'}{': ' if known else ''}{known}"
        f"{' (stand-in)' if client.emulated else ''}"
    )


def upload(
    folder: Annotated[Path, typer.Argument(help="A folder of this machine.")],
    target: Annotated[str, typer.Argument(help="obs://bucket/folder/")],
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Upload a folder with a task a file: what runs, is done, was there already, or failed and why.

    A file that fails does not end the others. Run it again to continue.
    """
    from infra.obs import tasks  # noqa: PLC0415 - boto3 is for those who use it
    from infra.obs.address import ObjectAddress  # noqa: PLC0415
    from infra.store.local_files import describe_folder  # noqa: PLC0415

    place = ObjectAddress.parse_folder(target)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}", hint="one file: `atlasflow obs copy FILE obs://bucket/folder/`")
    files = describe_folder(folder)
    if not files:
        raise UserError(f"{folder} has no files")
    client, found = _open(profile, parse_overrides(settings) | {"obs.bucket": place.bucket})

    def on_change(task: tasks.Task) -> None:
        if not as_json:
            print_line(printable(f"{task.state:13}  {task.name}" + (f": {task.cause}" if task.cause else "")))

    ended = tasks.upload(client, place.key.strip("/"), files, on_change, found.threads)
    if as_json:
        print_json([vars(task) for task in ended])
    else:
        states = [task.state for task in ended]
        rows = [(state, str(states.count(state))) for state in tasks.State if state in states]
        print_table(("tasks", "files"), rows, right=("files",))
    failed = [task for task in ended if task.state is tasks.State.FAILED]
    if failed:
        raise Refused(
            f"{len(failed)} of {len(ended)} files failed: {failed[0].name}: {failed[0].cause}",
            hint="remove the cause, and run the same command again: it sends what is missing",
        )


def _text(facts: dict[str, str]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())


def _open(profile: str, overrides: dict[str, str]) -> "tuple[ObsClient, ObsSettings]":
    """Open the bucket that the settings name; the plain stand-in cannot do what only OBS does."""
    from flows.context import open_chain  # noqa: PLC0415
    from infra.obs.factory import open_bucket  # noqa: PLC0415 - boto3 is for those who use it

    chain = open_chain(profile, overrides, Silent())
    wanted = chain.settings.obs
    if not wanted.endpoint and wanted.stand_in == "plain" and (wanted.direct_read or wanted.redundancy == "multi"):
        raise UserError(
            "the plain stand-in knows no availability zones and no direct reading of archives",
            hint="use --profile twin, whose stand-in behaves as OBS, or --set obs.stand_in=as-obs",
        )
    return open_bucket(wanted, chain.world.services, chain.home, chain.settings.retry), wanted
