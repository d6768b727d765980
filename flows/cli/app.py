"""The sub-commands of `atlasflow`, a file a group, and how their errors become messages and exit codes."""

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from flows.cli import (
    aim,
    backup,
    compare,
    convert,
    data,
    dataset,
    demo,
    deployments,
    doctor,
    jobs,
    keys,
    maintenance,
    new,
    notebook,
    obs,
    profile,
    release,
    retrain,
    run,
    runs,
    scripts,
    serve,
    services,
    settings,
    ship,
    show,
    status,
    tune,
    twin,
    xihe,
)
from flows.cli.boards import status as boards
from flows.cli.output import print_error
from infra.backup.interrupted import refuse_interrupted
from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.home import home
from infra.store.disk import is_full, is_read_only

app = typer.Typer(
    name="atlasflow",
    help="Take an image classifier from data to Ascend boards, again and again, without doing any work twice.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
PANELS = {
    "Run": ("run", "ship", "convert", "retrain", "tune", "serve", "worker"),
    "Look": ("status", "why", "runs", "compare", "settings", "show", "profile", "demo", "aim", "doctor"),
    "Boards and releases": ("boards", "data", "champion", "release", "keys"),
    "Huawei Cloud and xihe": ("obs", "jobs", "dataset", "twin", "notebook", "import", "export"),
    "Services and deployments": ("up", "down", "deployments"),
}
OTHER = "Upkeep"


def _version(wanted: bool) -> None:
    if wanted:
        print(f"atlasflow {metadata.version('atlasflow')}")
        raise typer.Exit


@app.callback()
def _top(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback acts on it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take an image classifier from data to Ascend boards, again and again, without doing any work twice."""
    if context.invoked_subcommand != "restore":
        refuse_interrupted(home())


for module in (
    new,
    run,
    convert,
    retrain,
    tune,
    status,
    runs,
    compare,
    settings,
    show,
    profile,
    demo,
    aim,
    services,
    doctor,
    serve,
    ship,
    deployments,
    boards,
    data,
    release,
    keys,
    obs,
    dataset,
    jobs,
    scripts,
    twin,
    maintenance,
    backup,
    notebook,
    xihe,
):
    module.register(app)


def _panel(name: object) -> str:
    return next((panel for panel, names in PANELS.items() if name in names), OTHER)


for command in app.registered_commands:
    command.rich_help_panel = _panel(command.name or getattr(command.callback, "__name__", ""))
for group in app.registered_groups:
    group.rich_help_panel = _panel(group.name)

DISK_FULL = 4
LITTLE_BYTES = 1 << 20  # with less space free, SQLite can write no page reliably


def main() -> None:
    """Run a sub-command; an error becomes a message, and its class the exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments)
    except AtlasFlowError as error:
        _stop(str(error), error.exit_code, debug)
    except BrokenPipeError:  # who read our output has gone, as `head` does; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last place where an error can be put into words
        if is_full(error):
            advice = "free some space and run again; nothing is half-written"
            _stop(f"the disk is full: {error}\n  → {advice}", DISK_FULL, debug)
        if isinstance(error, OSError) and _is_closed_home(error):
            advice = "set ATLASFLOW_HOME to a folder of your own"
            _stop(f"the home {home()} cannot be written: {error.strerror}\n  → {advice}", UserError.exit_code, debug)
        if isinstance(error, OSError):
            _stop(f"{error}\n  → check that path and who may read and write it; --debug shows where", 1, debug)
        if answered := _from_server(error):
            _stop(*answered, debug)
        _stop(f"{type(error).__name__}: {error}\n  → this is a fault of AtlasFlow; --debug shows where", 1, debug)


def _from_server(error: Exception) -> tuple[str, int] | None:
    """Message and exit code of an error of Prefect's client; our own clients map theirs to our classes."""
    import httpx  # noqa: PLC0415 - too slow for commands that need no server

    if isinstance(error, httpx.TransportError):
        advice = "what was done is kept: the same command starts our own server, and goes on"
        return f"the Prefect server does not answer: {error}\n  → {advice}", Transient.exit_code
    if not isinstance(error, httpx.HTTPStatusError):
        return None
    said = f"{error.response.status_code} {error.response.reason_phrase}".strip()
    if error.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
        advice = "check PREFECT_API_URL and its login, and that its version is near ours"
        return f"the Prefect server refuses: {said}\n  → {advice}", Refused.exit_code
    if home().exists() and shutil.disk_usage(home()).free < LITTLE_BYTES:
        advice = "free some space and run again; nothing is half-written"
        return f"the disk is full, so the Prefect server failed: {said}\n  → {advice}", DISK_FULL
    advice = f"what was done is kept, so run again; {home() / 'services' / 'prefect.log'} has its reason"
    return f"the Prefect server failed: {said}\n  → {advice}", Transient.exit_code


def _is_closed_home(error: OSError) -> bool:
    """Whether the error is that this user may not write to the home, or its file system is read-only."""
    inside = error.filename is not None and Path(os.fsdecode(error.filename)).absolute().is_relative_to(home())
    return is_read_only(error) and inside


def _stop(message: str, code: int, debug: bool) -> NoReturn:
    if debug:
        Console(stderr=True, soft_wrap=True).print_exception()
    print_error(message)
    sys.exit(code)
