"""Fetch the files that a board's agent wrote while it watched a folder.

The names and sizes are the board's: a name must be one that `watch` writes, and counts and sizes have bounds.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.board import answers
from infra.board.session import Session
from infra.errors import Corrupt
from infra.names import check_name
from infra.ports.upkeep import LatencyReport, Pulled
from infra.store.atomic import replacing

ANSWERS = "answers.jsonl"  # one JSON object a picture (agent/watch.py)
MAX_FILES = 100_000
MAX_PICTURE_BYTES = 64 * 2**20
MAX_ANSWERS_BYTES = 2**30
PAGE = 1000  # names in one answer
_GROWTH = 2**20  # bytes that the file of answers may grow while it is fetched
_MAX_LINE = 2**20


async def pull(session: Session, folder: Path) -> Pulled:
    """Fetch each file that is not in `folder` in the same size.

    Raises:
        Corrupt: the board names a file that `watch` does not write, too many of them, or sends another one.
    """
    source, files = await listing(session, "outputs", _file_name)
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    for name, size in files.items():
        target = folder / name
        if target.is_file() and not target.is_symlink() and target.stat().st_size == size:
            continue
        await _fetch(session, f"{source}/{name}", target, size)
        fetched.append(name)
    return Pulled(tuple(fetched), len(files) - len(fetched), latency_report(folder / ANSWERS))


async def listing(session: Session, operation: str, check: Callable[[str, Any], str]) -> tuple[str, dict[str, int]]:
    """List a folder on a board, page by page.

    Args:
        session: of the board.
        operation: of the board's helper.
        check: returns a name of a board's file, or raises Corrupt.

    Returns:
        The folder, and the size in bytes of each file in it by name.

    Raises:
        Corrupt: the board lists too many files, or one twice.
    """

    def page(answer: Any) -> tuple[str, dict[str, int]]:
        sizes = {check(session.name, name): _size(name, size) for name, size in answer["files"].items()}
        if len(sizes) > PAGE:
            raise ValueError(f"a page has more than {PAGE} files")
        return answers.text(answer["folder"]), sizes

    found: dict[str, int] = {}
    while True:
        after = max(found, default="")
        source, files = await session.ask(operation, page, after=after, limit=PAGE)
        if not files:
            return source, found
        if min(files) <= after:
            raise Corrupt(f"board {session.name} lists a file twice")
        found |= files
        if len(found) > MAX_FILES:
            raise Corrupt(
                f"board {session.name} has more than {MAX_FILES} files to fetch",
                hint=f"log in and empty the folder {source} there",
            )


def _file_name(board: str, name: Any) -> str:
    """A name that `watch` writes.

    Raises:
        Corrupt: it is none.
    """
    if check_name(name, f"board {board}") == ANSWERS:
        return ANSWERS
    if "/" in name or name.startswith(".") or not name.endswith(".png"):
        raise Corrupt(f"board {board} names {name!a}, which is not a file of `watch`")
    return str(name)


def _size(name: str, size: Any) -> int:
    return answers.count(size, MAX_ANSWERS_BYTES if name == ANSWERS else MAX_PICTURE_BYTES)


async def _fetch(session: Session, source: str, target: Path, size: int) -> None:
    growth = _GROWTH if target.name == ANSWERS else 0  # a line may be added now
    with replacing(target) as temporary:
        await session.files.fetch(source, temporary, size + growth)
        if not size <= temporary.stat().st_size <= size + growth:
            raise Corrupt(f"board {session.name} sent another {target.name} than it listed", hint="pull again")


def latency_report(path: Path) -> LatencyReport:
    """Summarise a file of answers; a line that is not a whole answer is left out."""
    times, skipped = [], 0
    for entry in _entries(path):
        if "error" in entry:
            skipped += 1
        elif (time := _milliseconds(entry)) is not None:
            times.append(time)
    times.sort()
    if not times:
        return LatencyReport(0, skipped)
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    return LatencyReport(len(times), skipped, cuts[49], cuts[89], cuts[98], times[-1])


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_MAX_LINE), b""):
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry


def _milliseconds(entry: dict[str, Any]) -> float | None:
    try:
        return answers.number(entry.get("milliseconds"))
    except (TypeError, ValueError, OverflowError):
        return None
