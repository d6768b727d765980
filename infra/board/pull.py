"""Fetch what a board's agent has written while it watched a folder."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.board.session import Session
from infra.store.atomic import replacing

ANSWERS = "answers.jsonl"  # one JSON object a picture (agent/watch.py)


@dataclass(frozen=True)
class Pulled:
    """What was fetched.

    Attributes:
        fetched: names of the files that came now.
        kept: how many were here already.
        report: pictures answered, pictures skipped, and latency in milliseconds (median, 90 %, 99 %, largest).
    """

    fetched: tuple[str, ...]
    kept: int
    report: Mapping[str, float]


async def pull(session: Session, folder: Path) -> Pulled:
    """Fetch each file that is not here in the same size."""
    said = await session.ask("outputs")
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    for name, size in said["files"].items():
        target = folder / name
        if target.exists() and target.stat().st_size == size:
            continue
        with replacing(target) as temporary:
            await session.fetch(f"{said['folder']}/{name}", temporary)
        fetched.append(name)
    return Pulled(tuple(fetched), len(said["files"]) - len(fetched), report(folder / ANSWERS))


def report(answers: Path) -> dict[str, float]:
    """Sum up a file of answers; a line that is torn is left out."""
    entries: list[dict[str, Any]] = []
    for line in answers.read_text(errors="replace").splitlines() if answers.exists() else ():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    times = sorted(entry["milliseconds"] for entry in entries if "error" not in entry)
    result: dict[str, float] = {"pictures": len(times), "skipped": len(entries) - len(times)}
    if times:
        cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        result |= {"p50": cuts[49], "p90": cuts[89], "p99": cuts[98], "largest": times[-1]}
    return result
