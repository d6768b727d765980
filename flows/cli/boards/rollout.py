"""`boards rollout`: a release onto boards in waves, and what to do with a rollout that stands."""

import getpass
import time
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
from tasks.fleet import rollout as work
from tasks.fleet.state import Pause, Stand, cut_waves
from tasks.retrain.champions import demote_release

rollout = typer.Typer(
    help="Roll a release out in waves: canary first, stopping when too much fails.", no_args_is_help=True
)
Id = Annotated[str, typer.Argument(metavar="[ROLLOUT]", help="Its id; by default the newest.")]
OnStop = Annotated[
    Literal["stay", "wave", "fleet"], typer.Option(help="When too many fail: stay so, or undo the wave or the fleet.")
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
    percent: Annotated[float, typer.Option(min=0.001, max=100, help="Only this share of the selected boards.")] = 100,
    waves: Annotated[str, typer.Option(help="Boards that are done at the end of each wave.")] = "1,10%,50%",
    max_failed: Annotated[float, typer.Option(min=0, max=1, help="Share of a wave's boards that may fail.")] = 0,
    wait: Annotated[float, typer.Option(min=0, help="Seconds between two waves.")] = 0,
    pause: Annotated[Pause, typer.Option(help="Stop for you after the canary, or after each wave.")] = "never",
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
    cut_waves(chosen(chain, names, label, everything), sizes)  # a wrong word is told before Prefect is up
    _in_prefect(
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
    """Go on with a rollout that paused, was stopped, or whose process is gone."""
    chain = chain_of(profile, settings)
    opened = work.reopen(Fleet(chain.home), identifier)
    request = {"profile": profile, "settings": parse_overrides(settings), "on_stop": on_stop}
    _in_prefect(chain, {**request, "resume": opened.id})


def undo(
    identifier: Id = "",
    wave: Annotated[int, typer.Option(min=0, help="Only this wave, from 1; 0 is all of them.")] = 0,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Put the previous release back on every board that a rollout changed."""
    chain = chain_of(profile, settings)
    fleet = Fleet(chain.home)
    with fleet.carrying_out():
        opened = work.reopen(fleet, identifier)
        if wave > len(opened.rollout.policy.waves):
            raise UserError(f"rollout {opened.id} has {len(opened.rollout.policy.waves)} waves")
        rows = work.undo(opened, fleet, chain.world, wave - 1 if wave else None, Silent() if as_json else Printer())
        demoted = None
        if not wave and any(row["outcome"] == "returned" for row in rows):
            demoted = demote_release(chain, opened.release, getpass.getuser(), f"rollout {opened.id} was undone")
    if demoted is not None:
        text = f"release {demoted.release} is champion no more; `atlasflow champion show` tells which one is"
        print_line(text, error=True)
    show(rows, {"board": "board", "outcome": "outcome", "": "message"}, as_json=as_json)


def show_rollout(identifier: Id = "", profile: Profile = "local", as_json: Json = False) -> None:
    """Show what became of each board in a rollout."""
    opened = work.reopen(Fleet(chain_of(profile, None).home), identifier)
    rows = work.rows(opened)
    if not as_json:
        print_line(f"rollout {opened.id} of release {opened.release}")
    show([{**row, "exit_code": None} for row in rows], COLUMNS, as_json=as_json)


def _in_prefect(chain: Chain, values: dict[str, Any]) -> None:
    """Run the flow on the checkout's server, then show every board, also when the rollout was stopped."""
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
            opened = work.reopen(fleet, values.get("resume", ""))
            rows = work.rows(opened)
            print_rows(rows, COLUMNS)
            step = opened.rollout.next(time.time())
            stands = f", {step.why}: {step.reason}" if isinstance(step, Stand) else ""
            print_line(f"rollout {opened.id}{stands}")
            print_line(f"in Prefect: {address}/runs")
            if isinstance(step, Stand) and step.why == "paused":
                print_line("`atlasflow boards rollout resume` goes on")
    stop_if_failed(rows)
