"""`boards rollout`: roll a release out to boards in waves; resume, undo and show a rollout."""

import getpass
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, print_rows, show, stop_if_failed
from flows.cli.fresh_run import Printer
from flows.cli.options import Json, Profile, Set, parse_overrides
from flows.cli.output import print_line
from infra.errors import UserError
from infra.fleet import Fleet
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tasks.fleet.events import Pause
from tasks.fleet.rollout import board_rows, reopen
from tasks.fleet.rollout import undo as undo_rollout
from tasks.fleet.state import Halt, Phase
from tasks.fleet.waves import cut_waves
from tasks.retrain.champions import demote_release

rollout = typer.Typer(
    help="Roll a release out in waves: canary first, stopping when too many boards fail.", no_args_is_help=True
)
Id = Annotated[str, typer.Argument(metavar="[ROLLOUT]", help="Its id; by default the newest.")]
OnStop = Annotated[
    Literal["stay", "wave", "fleet"],
    typer.Option(help="When too many boards fail: keep or undo."),
]
COLUMNS = {"board": "board", "wave": "wave", "outcome": "outcome", "seconds": "seconds", "": "message"}


def register(boards: typer.Typer) -> None:
    """Add the commands to the group."""
    rollout.command(
        epilog="Examples: `atlasflow boards rollout start --all --waves 1,10%,50% --max-failed 0.02` · "
        "`atlasflow boards rollout start porch roof --release obs://bucket/atlasflow/releases/ID/`"
    )(start)
    rollout.command(epilog="Example: `atlasflow boards rollout resume`")(resume)
    rollout.command(epilog="Examples: `atlasflow boards rollout undo` · `atlasflow boards rollout undo --wave 2`")(undo)
    rollout.command("show", epilog="Example: `atlasflow boards rollout show --json`")(show_rollout)
    boards.add_typer(rollout, name="rollout", epilog="Example: `atlasflow boards rollout start --all`")


def start(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    percent: Annotated[float, typer.Option(min=0.001, max=100, help="Only this percentage of the boards.")] = 100,
    waves: Annotated[str, typer.Option(help="Boards done at the end of each wave.")] = "1,10%,50%",
    max_failed: Annotated[float, typer.Option(min=0, max=1, help="Share of a wave's boards that may fail.")] = 0,
    wait: Annotated[float, typer.Option(min=0, help="Seconds between two waves.")] = 0,
    pause: Annotated[Pause, typer.Option(help="Wait for you after the canary, or after each wave.")] = "never",
    on_stop: OnStop = "stay",
    release: Annotated[str, typer.Option(help="A folder or obs://bucket/prefix/; by default the chain's own.")] = "",
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Deploy a release to boards in waves, as a run in Prefect."""
    given = [*(settings or []), *([f"deploy.release={release}"] if release else [])]
    chain = chain_of(profile, given)
    sizes = tuple(filter(None, (part.strip() for part in waves.split(","))))
    cut_waves(chosen(chain, names, label, everything), sizes)  # report a wrong value before Prefect starts
    _run_flow(
        chain,
        {
            "profile": profile,
            "settings": parse_overrides(given),
            "boards": tuple(names or ()),
            "label": label,
            "everything": everything,
            "percent": percent,
            "waves": sizes,
            "max_failed": max_failed,
            "wait_seconds": wait,
            "pause": pause,
            "limit": at_once,
            "on_stop": on_stop,
        },
    )


def resume(
    identifier: Id = "",
    on_stop: OnStop = "stay",
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Continue a rollout that paused, stopped, or lost its process."""
    chain = chain_of(profile, settings)
    opened = reopen(Fleet(chain.home), identifier)
    step = opened.rollout.next(time.time())
    if isinstance(step, Halt) and step.phase is Phase.DONE:
        print_line(f"rollout {opened.id} is over: {step.reason}. `atlasflow boards rollout show` lists its boards")
        return
    request = {"profile": profile, "settings": parse_overrides(settings), "on_stop": on_stop}
    _run_flow(chain, {**request, "resume": opened.id})


def undo(
    identifier: Id = "",
    wave: Annotated[int, typer.Option(min=0, help="Only this wave, from 1; 0 is all of them.")] = 0,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Restore the previous release on every board that a rollout changed."""
    chain = chain_of(profile, settings)
    fleet = Fleet(chain.home)
    with fleet.carrying_out():
        opened = reopen(fleet, identifier)
        if wave > len(opened.rollout.policy.waves):
            raise UserError(f"rollout {opened.id} has {len(opened.rollout.policy.waves)} waves")
        reporter = Silent() if as_json else Printer()
        results = undo_rollout(opened, fleet, chain.world, wave - 1 if wave else None, reporter)
        demoted = None
        if not wave and any(result.outcome == "returned" for result in results):
            demoted = demote_release(chain, opened.release, getpass.getuser(), f"rollout {opened.id} was undone")
    if demoted is not None:
        text = f"release {demoted.release} is no longer champion; `atlasflow champion show` shows which one is"
        print_line(text, error=True)
    if not results and not as_json:
        print_line(f"rollout {opened.id} has no board to take back: it changed none, or was undone already")
        return
    rows = [asdict(result) for result in results]
    show(rows, {"board": "board", "outcome": "outcome", "": "message"}, as_json=as_json)


def show_rollout(identifier: Id = "", profile: Profile = "local", as_json: Json = False) -> None:
    """Show the result of each board in a rollout."""
    opened = reopen(Fleet(chain_of(profile, None).home), identifier)
    rows = [asdict(row) for row in board_rows(opened)]
    if not as_json:
        print_line(f"rollout {opened.id} of release {opened.release}")
    show([{**row, "exit_code": None} for row in rows], COLUMNS, as_json=as_json)


def _run_flow(chain: Chain, values: dict[str, Any]) -> None:
    """Run the flow on the installation's server, then show every board, also when the rollout stopped."""
    from flows.cli.terminal import under_prefect  # noqa: PLC0415 - Prefect takes seconds

    fleet = Fleet(chain.home)
    before, address, rows = fleet.rollouts(), "", []
    try:
        with under_prefect(chain, Console()) as address:
            from flows.requests import parse_request  # noqa: PLC0415
            from flows.rollout import RolloutRequest  # noqa: PLC0415
            from flows.rollout import rollout as flow  # noqa: PLC0415

            flow(parse_request(RolloutRequest, values))
    finally:
        if values.get("resume") or fleet.rollouts() != before:
            opened = reopen(fleet, values.get("resume", ""))
            rows = [asdict(row) for row in board_rows(opened)]
            print_rows(rows, COLUMNS)
            step = opened.rollout.next(time.time())
            end = f", {step.phase}: {step.reason}" if isinstance(step, Halt) else ""
            print_line(f"rollout {opened.id}{end}")
            print_line(f"in Prefect: {address}/runs")
            if isinstance(step, Halt) and step.phase is Phase.PAUSED:
                print_line("`atlasflow boards rollout resume` continues it")
    stop_if_failed(rows)
