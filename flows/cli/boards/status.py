"""`boards list`, `info`, `check` and `status`: show boards and their state; and the group `boards` itself."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.cli.boards import add, bench, drift, keyring, pictures, reconcile, rollout, ssh_config
from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, on_each, show
from flows.cli.options import Json, Profile, Set
from flows.context import release_files
from infra.board.release_folder import releases_in
from infra.fleet import Fleet
from infra.ports.upkeep import Finding, Level
from tasks.fleet.reconcile import why_given_up

boards = typer.Typer(help="Manage boards: add, check, roll out, roll back, reconcile.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    boards.command("list", epilog="Examples: `atlasflow boards list` · `atlasflow boards list --json`")(list_boards)
    add.register(boards)
    boards.command(epilog="Example: `atlasflow boards info porch`")(info)
    boards.command(epilog="Examples: `atlasflow boards check porch` · `atlasflow boards check --all --release`")(check)
    boards.command(epilog="Examples: `atlasflow boards status porch` · `atlasflow boards status --all`")(status)
    reconcile.register(boards)
    pictures.register(boards)
    bench.register(boards)
    drift.register(boards)
    keyring.register(boards)
    rollout.register(boards)
    ssh_config.register(boards)
    app.add_typer(boards, name="boards", epilog="Example: `atlasflow boards add porch HwHiAiUser@192.168.1.2`")


def list_boards(profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """List the boards of the settings; no board is contacted."""
    known = chain_of(profile, settings).settings.boards
    rows = [
        {
            "board": name,
            "address": f"{board.user}@{board.address}:{board.port}" if board.address else "the stand-in",
            "soc": board.soc,
            "labels": list(board.labels),
            "host_key": "pinned" if board.host_key else "" if board.address == "" else "not pinned",
        }
        for name, board in known.items()
    ]
    columns = {"board": "board", "address": "address", "chip": "soc", "labels": "labels", "host key": "host_key"}
    show(rows, columns, as_json=as_json)


def info(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Show facts about boards: chip, CANN, Python, free space."""
    chain = chain_of(profile, settings)

    def ask(name: str) -> dict[str, Any]:
        facts = asdict(chain.world.board(name).facts())
        return {**facts, "board": name, "free": f"{facts['free_bytes'] // 2**20} MB", "host_name": facts.pop("name")}

    rows = on_each(chosen(chain, names, label, everything), at_once, ask)
    columns = {"board": "board", "chip": "soc_version", "npu": "npu", "CANN": "cann", "machine": "architecture"}
    columns |= {"Python": "python", "free": "free", "stand-in": "emulated"}
    show(rows, columns, as_json=as_json)


def check(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    release: Annotated[bool, typer.Option("--release", help="Check the release to be deployed, too.")] = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Check everything that a deployment needs, step by step, before any byte is copied."""
    chain = chain_of(profile, settings)
    releases = releases_in(*release_files(chain)) if release else {}

    def ask(name: str) -> dict[str, Any]:
        soc = chain.settings.boards[name].soc
        fitting = releases.get(soc) or next(iter(releases.values()), None)
        return {"findings": chain.world.board(name).check(fitting).findings}

    found = on_each(chosen(chain, names, label, everything), at_once, ask)
    rows = []
    for board in found:
        if "findings" in board:
            rows += [
                {"board": board["board"], **finding.to_json(), **_trouble(finding)} for finding in board["findings"]
            ]
        else:
            step = {"step": "settings", "level": Level.WRONG, "found": board["problem"], "hint": ""}
            problem = f"settings: {board['problem']}"
            rows.append({"board": board["board"], **step, "exit_code": board["exit_code"], "problem": problem})
    columns = {"board": "board", "step": "step", "": "level", "found": "found", "hint": "hint"}
    show(rows, columns, as_json=as_json)


def _trouble(finding: Finding) -> dict[str, Any]:
    """The columns that end the command, for a wrong step."""
    if finding.level is not Level.WRONG:
        return {}
    return {"exit_code": finding.error.exit_code, "problem": f"{finding.step}: {finding.found}"}


def status(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Show the release that boards run, the one that they are meant to run, and the last event."""
    chain = chain_of(profile, settings)
    wanted = Fleet(chain.home).wanted()

    def ask(name: str) -> dict[str, Any]:
        found = chain.world.board(name).status()
        last = found.journal[-1] if found.journal else None
        event = f"{last.event} {last.release} at {last.time}" if last else ""
        gave_up = why_given_up(found, wanted[name]) if name in wanted else ""
        return {**found.to_json(), "wanted": wanted.get(name), "last": f"gave it up: {gave_up}" if gave_up else event}

    rows = on_each(chosen(chain, names, label, everything), at_once, ask)
    columns = {"board": "board", "runs": "active", "wanted": "wanted", "before": "previous"}
    columns |= {"to prove": "probation", "all": "releases", "last": "last"}
    show(rows, columns, as_json=as_json)
