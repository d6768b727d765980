"""Tables, lines and JSON of the commands, in one style. Light: a run that has nothing to do prints with it, too."""

from __future__ import annotations

import json
import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import PurePath

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | Text
COLORS = {
    **dict.fromkeys(("good", "fresh", "ran", "changed", "put right", "steady"), "green"),
    **dict.fromkeys(("note", "stale", "shifted"), "yellow"),
    **dict.fromkeys(("wrong", "failed", "drifted", "look"), "red"),
    "reused": "cyan",
    "missing": "bright_black",
}
_GAP = 2  # spaces between two columns
_LEAST_ROOM = 20  # cells for a value beside its title


def printable(text: str) -> str:
    r"""Replace control, format and unpaired surrogate characters by their escapes, such as `\x1b`.

    Values from outside (names of jobs, answers of boards, addresses) must not drive the terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or unicodedata.category(char) == "Zs" else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def print_json(value: object) -> None:
    """Print a value as JSON: ASCII, one space a level; dataclasses are objects, paths are texts."""
    print(json.dumps(value, indent=1, default=_plain).replace("\x7f", "\\u007f"))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def print_line(text: str, *, style: str = "", error: bool = False) -> None:
    """Print one line as it is: no markup, no highlighting, wrapped only by the terminal.

    Args:
        text: control characters in it are escaped.
        style: of rich, such as `bold`.
        error: print to standard error.
    """
    Console(stderr=error).print(Text(printable(text), style), soft_wrap=True)


def print_text(text: str) -> None:
    """Print text from outside that may have many lines, such as a log; control characters are escaped."""
    print(_escape_lines(text))


def print_error(message: str) -> None:
    """Print an error's message, which may have several lines, to standard error."""
    Console(stderr=True).print(Text.assemble(("error:", "bold red"), " ", _escape_lines(message)), soft_wrap=True)


def _escape_lines(text: str) -> str:
    return "\n".join(printable(line.expandtabs()) for line in text.splitlines())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print a line for each (name, value), the values below each other."""
    rows = list(facts)
    width = max((cell_len(name) for name, _ in rows), default=0)
    for name, value in rows:
        print_line(f"{name}{' ' * (width - cell_len(name) + _GAP)}{value}")


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Cell]], *, right: Collection[str] = ()) -> None:
    """Print a table without breaking words.

    A terminal gets a table that fits its width, or a block for each row where the longest words do not fit beside each
    other. Anything else, such as a pipe or a file, gets one line a row, complete and without colors.

    Args:
        titles: of the columns; without any, no head is printed.
        rows: a cell for each column; a text that is a word of `COLORS`, or starts with one and ` (`, is colored.
        right: titles of the right-aligned columns.
    """
    console = Console()
    cells = [[_text(cell) for cell in row] for row in rows]
    columns = [[Text(title), *(row[index] for row in cells)] for index, title in enumerate(titles)]
    whole = [max(cell.cell_len for cell in column) for column in columns]
    widths = _fit(whole, [_longest_word(column) for column in columns], console.width) if console.is_terminal else whole
    if widths is None:
        _print_blocks(console, titles, cells)
        return
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=any(titles))
    for title, width in zip(titles, widths, strict=True):
        table.add_column(title, width=width, justify="right" if title in right else "left")
    for row in cells:
        table.add_row(*row)
    console.width = sum(widths) + _GAP * len(widths)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def _text(cell: Cell) -> Text:
    """A cell on one line, escaped, in its color."""
    style = cell.style if isinstance(cell, Text) else COLORS.get(cell.partition(" (")[0], "")
    return Text(printable(" ".join(str(cell).split())), style)


def _longest_word(column: Iterable[Text]) -> int:
    return max((cell_len(word) for cell in column for word in cell.plain.split()), default=0)


def _fit(whole: Sequence[int], least: Sequence[int], width: int) -> list[int] | None:
    """Widths of columns that fit in `width` together: between `least` and `whole` each; None when there are none."""
    free = width - _GAP * (len(whole) - 1) - sum(least)
    wanted = sum(whole) - sum(least)
    if free >= wanted:
        return list(whole)
    if free < 0:
        return None
    return [low + (high - low) * free // wanted for low, high in zip(least, whole, strict=True)]


def _print_blocks(console: Console, titles: Sequence[str], rows: Iterable[Sequence[Text]]) -> None:
    """Print a line for each cell that is not empty, or more lines at its words, and an empty line between two rows."""
    width = max(map(cell_len, titles))
    room = max(_LEAST_ROOM, console.width - width - _GAP)
    for number, row in enumerate(rows):
        if number:
            console.print()
        for title, cell in zip(titles, row, strict=True):
            # A word that is longer, such as a path, stays whole.
            for line in textwrap.wrap(cell.plain, room, break_long_words=False, break_on_hyphens=False):
                console.print(Text.assemble(title.ljust(width + _GAP), (line, cell.style)), soft_wrap=True)
                title = ""  # noqa: PLW2901 - it stands at the first line
