"""`collect` writes inside its folder only, and what the digest in a name says."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import pytest

from infra.board import answers
from infra.board.collect import collect
from infra.errors import Corrupt
from tests.unit.infra.board.test_pull import HOSTILE_NAMES, SentFiles

T = TypeVar("T")
CONTENT = b"a picture"
NAME = f"0.031250-1732870000-{sha256(CONTENT).hexdigest()[:16]}.jpg"


class KeepingSession:
    """A board that lists any names, and sends one content."""

    name = "porch"

    def __init__(self, names: Sequence[object], content: bytes = CONTENT) -> None:
        self.listed = dict.fromkeys(names, len(content))
        self.files = SentFiles(content)
        self.forgotten: list[str] = []

    async def ask(
        self,
        operation: str,
        reader: Callable[[object], T],
        *,
        after: str = "",
        limit: int = 0,
        names: Sequence[str] = (),
    ) -> T:
        if operation == "forget_unsure":
            self.forgotten += names
            return answers.read(self.name, reader, len(names))
        files = {} if after else self.listed
        return answers.read(self.name, reader, {"folder": "/board/unsure", "files": files})


def run(session: KeepingSession, folder: Path) -> list[Path]:
    return asyncio.run(collect(session, folder))  # type: ignore[arg-type]


def test_the_board_forgets_what_has_arrived(tmp_path: Path) -> None:
    session = KeepingSession([NAME])
    assert run(session, tmp_path / "in") == [tmp_path / "in" / NAME]
    assert session.forgotten == [NAME]


def test_other_bytes_are_refused_and_not_forgotten(tmp_path: Path) -> None:
    session = KeepingSession([NAME], b"another ")
    with pytest.raises(Corrupt, match=r"another 0\.031250"):
        run(session, tmp_path)
    assert not list(tmp_path.iterdir())
    assert not session.forgotten


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "answers.jsonl", "0.1-1-0123456789abcdef.png", f"../{NAME}"])
def test_a_name_that_no_board_keeps_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Corrupt, match="porch"):
        run(KeepingSession([name]), tmp_path)
    assert not list(tmp_path.iterdir())
