"""Commands that look after boards: `boards list`, `info`, `check`, `status`, `rollback`, `reconcile` and more."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.boards import add, drift, rollout
from flows.cli.boards.common import All, AtOnce, Label, Names, chain_of, chosen, on_each, show
from flows.cli.options import Json, Profile, Set
from flows.cli.output import print_json, print_line
from flows.context import release_files
from infra.board.release_folder import releases_in
from infra.errors import UserError
from infra.fleet import Fleet
from infra.ports.upkeep import Finding, Level
from infra.store.atomic import write_text
from tasks.fleet.rollout import gave_it_up, interrupted, reconcile

boards = typer.Typer(help="Look after boards: add, check, roll out, roll back, reconcile.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    boards.command("list", epilog="Examples: `atlasflow boards list` · `atlasflow boards list --json`")(list_boards)
    add.register(boards)
    boards.command(epilog="Example: `atlasflow boards info porch`")(info)
    boards.command(epilog="Examples: `atlasflow boards check porch` · `atlasflow boards check --all --release`")(check)
    boards.command(epilog="Examples: `atlasflow boards status porch` · `atlasflow boards status --all`")(status)
    boards.command(epilog="Example: `atlasflow boards rollback porch`")(rollback)
    boards.command(epilog="Example: `atlasflow boards prune --all --keep 2`")(prune)
    boards.command(epilog="Example: `atlasflow boards pull porch --output pictures/`")(pull)
    boards.command(epilog="Example: `atlasflow boards classify porch cat.jpg --output pictures/`")(classify)
    boards.command("reconcile", epilog="Example: `atlasflow boards reconcile --all --dry-run`")(reconcile_boards)
    drift.register(boards)
    rollout.register(boards)
    app.add_typer(boards, name="boards", epilog="Example: `atlasflow boards add porch HwHiAiUser@192.168.1.2`")


def list_boards(profile: Profile = "local", settings: Set = None, as_json: Json = False) -> None:
    """List the boards of the settings; none is asked anything."""
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
    """Ask boards what they are: chip, CANN, Python, free space."""
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
    release: Annotated[bool, typer.Option("--release", help="Check against the release to be deployed, too.")] = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Try everything that a deployment rests on, step by step, before any byte is copied."""
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
    """Show what boards run, what they shall run, and what happened there last."""
    chain = chain_of(profile, settings)
    wanted = Fleet(chain.home).wanted()

    def ask(name: str) -> dict[str, Any]:
        found = chain.world.board(name).status()
        last = found.journal[-1] if found.journal else None
        event = f"{last.event} {last.release} at {last.time}" if last else ""
        gave_up = gave_it_up(found, wanted[name]) if name in wanted else ""
        return {**found.to_json(), "wanted": wanted.get(name), "last": f"gave it up: {gave_up}" if gave_up else event}

    rows = on_each(chosen(chain, names, label, everything), at_once, ask)
    columns = {"board": "board", "runs": "active", "wanted": "wanted", "before": "previous"}
    columns |= {"to prove": "probation", "all": "releases", "last": "last"}
    show(rows, columns, as_json=as_json)


def rollback(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Put the previous release back into service."""
    chain = chain_of(profile, settings)
    fleet = Fleet(chain.home)

    def back(name: str) -> dict[str, Any]:
        state = chain.world.board(name).rollback()
        if state.active is not None:
            fleet.want(state.active, name)
        return {"active": state.active, "previous": state.previous}

    rows = on_each(chosen(chain, names, label, everything), at_once, back)
    show(rows, {"board": "board", "runs": "active", "before": "previous"}, as_json=as_json)


def prune(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    keep: Annotated[int, typer.Option(min=0, help="Releases to keep, the newest; never less than the last two.")] = 3,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Remove old releases, never the current or the previous one."""
    chain = chain_of(profile, settings)
    rows = on_each(
        chosen(chain, names, label, everything),
        at_once,
        lambda name: {"removed": list(chain.world.board(name).prune(keep))},
    )
    show(rows, {"board": "board", "removed": "removed"}, as_json=as_json)


def pull(
    name: Name,
    output: Annotated[Path | None, typer.Option(help="Folder; by default one in the home.")] = None,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Fetch the annotated pictures that `watch` left on a board, with a report of its latency."""
    chain = chain_of(profile, settings)
    folder = output or chain.home / "pulled" / name
    pulled = chain.world.board(name).pull(folder)
    write_text(folder / "latency.json", json.dumps(pulled.report.to_json(), indent=1))
    if as_json:
        print_json({"board": name, "folder": folder, **pulled.to_json()})
        return
    print_line(f"{len(pulled.fetched)} files fetched to {folder}, {pulled.kept} were there")
    numbers = ", ".join(f"{key} {value:g}" for key, value in pulled.report.to_json().items())
    print_line(f"{numbers} (milliseconds)")


def classify(
    name: Name,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures on this machine.")],
    output: Annotated[Path | None, typer.Option(help="Folder; by default one in the home.")] = None,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Let a board classify pictures, and fetch the annotated copies."""
    chain = chain_of(profile, settings)
    folder = output or chain.home / "pulled" / name / "classified"
    answers = chain.world.board(name).classify(pictures, folder)
    rows = [
        {
            "picture": answer.picture,
            "class": answer.top[0][0] if answer.top else answer.problem,
            "confidence": round(answer.top[0][1], 6) if answer.top else None,
            "milliseconds": round(answer.milliseconds, 2),
            "annotated": str(answer.annotated or ""),
        }
        for answer in answers
    ]
    show(rows, {key: key for key in rows[0]}, as_json=as_json)
    if not any(answer.top for answer in answers):
        raise UserError("none of the pictures could be read")


def reconcile_boards(
    names: Names = None,
    label: Label = "",
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Deploy again where a board gave the release up.")] = False,
    at_once: AtOnce = 32,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Compare what boards run with what they shall run, and put right what differs."""
    chain = chain_of(profile, settings)
    fleet = Fleet(chain.home)
    with fleet.carrying_out():
        unfinished = interrupted(fleet)
        if unfinished:
            hint = "`atlasflow boards rollout resume` goes on with it, `atlasflow boards rollout undo` takes it back"
            raise UserError(f"rollout {unfinished} was interrupted in the middle of a wave", hint=hint)
        rows = reconcile(
            chain.world, fleet, chosen(chain, names, label, everything), limit=at_once, dry_run=dry_run, force=force
        )
    columns = {"board": "board", "wanted": "wanted", "runs": "active", "found": "found", "": "message"}
    show(rows, columns, as_json=as_json)
