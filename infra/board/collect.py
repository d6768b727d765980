"""Fetch the pictures that a board kept because its model was least sure, and free their space there."""

import re
from pathlib import Path
from typing import Any

from infra.board import answers
from infra.board.pull import MAX_PICTURE_BYTES, listing
from infra.board.session import Session
from infra.errors import Corrupt
from infra.store.atomic import replacing
from infra.store.digests import file_digest

_NAME = re.compile(r"[01]\.\d{6}-\d{1,12}-([0-9a-f]{16})\.[a-z]{3,4}")


async def collect(session: Session, folder: Path) -> list[Path]:
    """Fetch the kept pictures into `folder`; the board forgets each after its digest was checked here.

    Returns:
        Their files, whose names are those of the board: margin, seconds since 1970 and digest.

    Raises:
        Corrupt: the board names a file that it does not keep, or sends other bytes.
    """
    source, files = await listing(session, "unsure", _check_name)
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    for name, size in files.items():
        target = folder / name
        await _fetch(session, f"{source}/{name}", target, size)
        fetched.append(target)
    if fetched:
        await session.ask("forget_unsure", answers.count, names=[path.name for path in fetched])
    return fetched


def _check_name(board: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Corrupt(f"board {board} names {name!a}, which is not a picture that it keeps")
    return name


async def _fetch(session: Session, source: str, target: Path, size: int) -> None:
    found = _NAME.fullmatch(target.name)
    with replacing(target) as temporary:
        await session.files.fetch(source, temporary, min(size, MAX_PICTURE_BYTES))
        if found is None or not file_digest(temporary).startswith(found[1]):
            raise Corrupt(f"board {session.name} sent another {target.name} than it kept", hint="collect again")
