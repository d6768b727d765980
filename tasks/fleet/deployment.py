"""Deploy to one board of a fleet."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from infra.errors import AtlasFlowError, UserError
from infra.retry import retry
from tasks.fleet.events import BoardResult, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.ports.release import Release
    from infra.world import World

T = TypeVar("T")


def deploy_to(world: World, releases: Mapping[str, Release], name: str) -> BoardResult:
    """Deploy to one board, with retries of transient errors as the settings say; an error becomes a result."""
    begun = time.monotonic()
    try:
        release = _for_chip(world, releases, name)
        board = world.board(name)
        done = retry(lambda: board.install(release), world.settings.retry)
    except AtlasFlowError as error:
        seconds = time.monotonic() - begun
        return BoardResult(Outcome.FAILED, error.message, seconds, error.hint, error.exit_code)
    milliseconds = None if done.smoke is None else done.smoke.milliseconds
    message = f"{done.files_sent} files sent" if done.changed else "nothing to do"
    if milliseconds is not None:
        message += f", {milliseconds:.2f} ms an image"
    return BoardResult(Outcome.CHANGED if done.changed else Outcome.UNCHANGED, message, time.monotonic() - begun)


def _for_chip(world: World, releases: Mapping[str, Release], name: str) -> Release:
    if name not in world.settings.boards:
        raise UserError(f"there is no board '{name}'", hint="`atlasflow boards list` shows them")
    soc = world.settings.boards[name].soc
    if soc not in releases:
        raise UserError(
            f"board {name} has {soc}; the release is for {', '.join(releases)}",
            hint=f"name {soc} in convert.soc_versions, or correct the board's soc",
        )
    return releases[soc]


def on_each(names: Sequence[str], limit: int, work: Callable[[str], T]) -> list[T]:
    """Call a function for each board, up to `limit` at the same time; the results are in the order of the names."""
    with ThreadPoolExecutor(max(1, min(limit, len(names)))) as pool:
        return list(pool.map(work, names))
