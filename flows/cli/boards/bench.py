"""`boards bench`: how fast boards answer."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from flows.cli.boards.common import All, AtOnce, Label, Names, Row, chain_of, chosen, on_each, show, stop_if_failed
from flows.cli.options import Json, Profile, Set
from flows.cli.output import print_line


class Format(StrEnum):
    """Forms of the report."""

    TABLE = "table"
    AIS_BENCH = "ais_bench"


Runs = Annotated[int, typer.Option(min=1, help="Executions to time on each device.")]
Batch = Annotated[int, typer.Option(min=1, help="Images in each execution.")]
Form = Annotated[Format, typer.Option("--format", help="A table, or the lines that ais_bench prints.")]


def register(boards: typer.Typer) -> None:
    """Add the command to the group."""
    boards.command(
        epilog="Examples: `atlasflow boards bench porch` · "
        "`atlasflow boards bench porch --format ais_bench --set deploy.devices=all`"
    )(bench)


def bench(
    names: Names = None,
    runs: Runs = 200,
    batch: Batch = 1,
    form: Form = Format.TABLE,
    label: Label = "",
    everything: All = False,
    at_once: AtOnce = 8,
    profile: Profile = "local",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Time the active release on boards, on the devices that deploy.devices names, all at the same time."""
    chain = chain_of(profile, settings)
    rows = on_each(
        chosen(chain, names, label, everything),
        at_once,
        lambda name: {"bench": chain.world.board(name).bench(runs, batch)},
    )
    if form is Format.AIS_BENCH and not as_json:
        _print_lines(rows)
        return
    if as_json:
        show([_as_json(row) for row in rows], {}, as_json=True)
        return
    lines = [line for row in rows for line in _lines(row)]
    columns = {"board": "board", "chip": "chip", "device": "device", "median ms": "median", "90 %": "p90"}
    columns |= {"99 %": "p99", "execution ms": "compute", "images/s": "images_a_second"}
    show(lines, columns, as_json=False)
    if any(row["bench"].emulated for row in rows if "bench" in row):
        print_line("measured on a stand-in: these numbers say nothing about a board")


def _as_json(row: Row) -> Row:
    return {**row, "bench": row["bench"].to_json()} if "bench" in row else row


def _lines(row: Row) -> list[dict[str, Any]]:
    """A row for each device; a board that failed keeps its own."""
    found = row.get("bench")
    if found is None:
        return [row]
    return [
        {
            "board": row["board"],
            "chip": found.soc_version,
            "device": device.device,
            "median": f"{device.whole.p50:.3f}",
            "p90": f"{device.whole.p90:.3f}",
            "p99": f"{device.whole.p99:.3f}",
            "compute": f"{device.compute.p50:.3f}",
            "images_a_second": f"{device.images_a_second:.0f}",
        }
        for device in found.devices
    ]


def _print_lines(rows: list[Row]) -> None:
    from infra.board.bench import as_ais_bench  # noqa: PLC0415 - asyncssh takes a while to import

    for row in rows:
        if "bench" in row:
            if len(rows) > 1:
                print_line(f"[INFO] board {row['board']}")
            for line in as_ais_bench(row["bench"]):
                print_line(line)
    stop_if_failed(rows)
