"""The boards that a run deploys to, for the doctor: each is asked what a deployment needs."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from infra.errors import AtlasFlowError
from infra.findings import Finding
from infra.ports.upkeep import BoardCheck, Level
from infra.settings import Settings

Check = Callable[[str], BoardCheck]


def boards(settings: Settings, check: Check) -> Iterator[Finding]:
    """Ask the boards of `deploy.boards`, all at the same time; stand-ins are not started.

    Args:
        settings: with the boards.
        check: asks a board by its name.
    """
    names = settings.deploy.boards
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        for found in pool.map(lambda name: _board(name, settings, check), names):
            yield from found


def _board(name: str, settings: Settings, check: Check) -> list[Finding]:
    board, title = settings.boards.get(name), f"board {name}"
    if board is None:
        hint = f"atlasflow boards add {name}, or change deploy.boards"
        return [Finding(title, "wrong", "not in [boards]", hint)]
    if not board.address:
        return [Finding(title, "note", "the stand-in", "name a real one with its address")]
    if not board.host_key:
        return [Finding(title, "wrong", "its host key is not pinned", f"atlasflow boards trust {name}")]
    try:
        checked = check(name)
    except AtlasFlowError as error:
        return [Finding(title, "wrong", error.message, error.hint)]
    found = [
        Finding(f"{title}, {item.step}", "wrong" if item.level is Level.WRONG else "note", item.found, item.hint)
        for item in checked.findings
        if item.level is not Level.GOOD
    ]
    return found or [Finding(title, "good", f"{board.user}@{board.address}: ready for a deployment")]
