"""Shared by the commands for boards: work on several boards, a table or JSON of the results, one exit code."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import typer
from rich.text import Text

from flows.cli import completion
from flows.cli.options import parse_overrides
from flows.cli.output import Cell, print_json, print_table
from flows.context import open_chain, select_boards
from infra.errors import AtlasFlowError, Corrupt, GateFailed, Refused, Transient, UserError
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[BOARD]...", help="Names of boards.", autocompletion=completion.boards)
]
Label = Annotated[str, typer.Option("--label", help="All boards with this label.")]
All = Annotated[bool, typer.Option("--all", help="All boards.")]
AtOnce = Annotated[int, typer.Option("--at-once", min=1, max=256, help="Boards to work on at the same time.")]

Row = dict[str, Any]
FAILED = {"board", "problem", "hint", "exit_code"}  # the keys of a row that is an error
CLASSES = {kind.exit_code: kind for kind in (UserError, GateFailed, Refused, Transient, Corrupt)}


def chain_of(profile: str, settings: list[str] | None) -> Chain:
    """Open the chain of a profile; nothing is started."""
    return open_chain(profile, parse_overrides(settings), Silent())


def chosen(chain: Chain, names: Sequence[str] | None, label: str, everything: bool) -> tuple[str, ...]:
    """Select the boards of a command."""
    return select_boards(chain.settings, names or (), label, everything=everything)


def on_each(names: Sequence[str], at_once: int, work: Callable[[str], Row]) -> list[Row]:
    """Call a function for each board, several at the same time; an error becomes a row of its own."""

    def one(name: str) -> Row:
        try:
            return {"board": name, **work(name)}
        except AtlasFlowError as error:
            return {"board": name, "problem": error.message, "hint": error.hint, "exit_code": error.exit_code}

    with ThreadPoolExecutor(min(at_once, len(names))) as pool:
        return list(pool.map(one, names))


def show(rows: Sequence[Row], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Print rows as a table or as JSON, then end the command with an error if a board failed."""
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, columns)
    stop_if_failed(rows)


def print_rows(rows: Sequence[Row], columns: Mapping[str, str]) -> None:
    """Print rows as a table (column title to key); the problem of a board that failed is in the last column."""
    cells: list[list[Cell]] = []
    for row in rows:
        cells.append([_cell(row, key) for key in columns.values()])
        if set(row) == FAILED:
            cells[-1][-1] = Text(row["problem"], "red")
    print_table(tuple(columns), cells)


def stop_if_failed(rows: Sequence[Row]) -> None:
    """End the command when a row has an exit code.

    Raises:
        AtlasFlowError: of the class of the first failure; `Transient` only when all failures are transient.
    """
    failed = [row for row in rows if row.get("exit_code")]
    if failed:
        worst = next((row for row in failed if row["exit_code"] != Transient.exit_code), failed[0])
        problem = worst.get("problem") or worst.get("message") or ""
        more = f" ({len(failed)} of {len(rows)} boards failed)" if len(rows) > 1 else ""
        raise CLASSES.get(worst["exit_code"], AtlasFlowError)(
            f"{'' if worst['board'] in problem else worst['board'] + ': '}{problem}{more}", hint=worst.get("hint") or ""
        )


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    if isinstance(value, list | tuple):
        value = " ".join(str(item) for item in value)
    return "" if value is None else str(value)
