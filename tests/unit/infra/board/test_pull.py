"""`pull` writes inside its folder only, whatever a board answers."""

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from infra.board import answers
from infra.board.pull import pull
from infra.errors import Corrupt

T = TypeVar("T")

HOSTILE_NAMES = [
    "../escaped.png",
    "/escaped/by.png",
    "folder/escaped.png",
    "..",
    "",
    ".profile",
    ".hidden.png",
    "program.sh",
    "back\\slash.png",
    "C:drive.png",
    "new\nline.png",
    "escape\x1b[2J.png",
    "zero\0.png",
    "lone\ud800.png",
    f"{'long' * 64}.png",
]


class SentFiles:
    """The files of a board, all with one content."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def fetch(self, source: str, target: Path, limit: int) -> None:
        assert len(self.content) <= limit
        target.write_bytes(self.content)


class HostileSession:
    """Answers `outputs` with any listing, and sends any bytes."""

    name = "porch"

    def __init__(self, files: object, folder: object = "/board/outputs", content: bytes = b"bytes") -> None:
        self.answer = {"folder": folder, "files": files}
        self.files = SentFiles(content)

    def page(self, after: str) -> object:
        return {**self.answer, "files": {}} if after else self.answer

    async def ask(self, operation: str, reader: Callable[[object], T], *, after: str, limit: int) -> T:
        assert operation == "outputs"
        return answers.read(self.name, reader, self.page(after))


def run(session: HostileSession, folder: Path) -> object:
    return asyncio.run(pull(session, folder))  # type: ignore[arg-type]


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Corrupt, match="board porch") as caught:
        run(HostileSession({"good.png": 5, name: 5}), tmp_path / "a" / "b")
    assert str(caught.value).isprintable() or "\n  → " in str(caught.value)
    assert tree(tmp_path) <= {"a", "a/b"}, "nothing is written before the whole listing is checked"


@pytest.mark.parametrize(
    "files",
    [None, [], "text", {"a.png": "5"}, {"a.png": -1}, {"a.png": 1 << 40}, {"a.png": True}, {"a.png": None}],
    ids=repr,
)
def test_a_listing_of_another_form_is_refused(tmp_path: Path, files: object) -> None:
    with pytest.raises(Corrupt, match="board porch"):
        run(HostileSession(files), tmp_path / "out")


def test_an_endless_listing_is_refused(tmp_path: Path) -> None:
    class Endless(HostileSession):
        def page(self, after: str) -> object:
            first = int(after.partition(".")[0] or 0) + 1
            return {"folder": "/board", "files": {f"{first + number:012}.png": 1 for number in range(1000)}}

    with pytest.raises(Corrupt, match="more than"):
        run(Endless({}), tmp_path / "out")


def test_a_listing_that_repeats_itself_is_refused(tmp_path: Path) -> None:
    class Repeating(HostileSession):
        def page(self, after: str) -> object:
            return self.answer

    with pytest.raises(Corrupt, match="board porch"):
        run(Repeating({"a.png": 5}), tmp_path / "out")


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match=r"a\.png"):
        run(HostileSession({"a.png": 7}), tmp_path / "out")
    assert tree(tmp_path / "out") == set()


def test_a_link_in_the_target_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "out" / "a.png").symlink_to(tmp_path / "secret")
    run(HostileSession({"a.png": 5}), tmp_path / "out")
    assert (tmp_path / "secret").read_text() == "mine"
    assert not (tmp_path / "out" / "a.png").is_symlink()


@pytest.mark.parametrize("seed", range(200))
def test_no_listing_writes_outside_the_folder(tmp_path: Path, seed: int) -> None:
    """Random listings of pieces that mean something to file systems, terminals and JSON."""
    dice = random.Random(seed)
    pieces = ["..", "/", ".", "\\", "a", "b.png", ".png", "~", "\n", "\x1b[31m", "\u202e", "\0", "C:", "%2e", " ", "é"]

    def name() -> str:
        return "".join(dice.choices(pieces, k=dice.randint(0, 5)))

    def value(depth: int = 0) -> object:
        kinds: list[Callable[[], object]] = [
            lambda: dice.randint(-9, 9),
            name,
            lambda: None,
            lambda: 1e999,
            lambda: [name()],
            lambda: 5,
            lambda: 5,
        ]
        return dice.choice(kinds)()

    files: Mapping[str, object] = {name(): value() for _ in range(dice.randint(1, 4))}
    folder = tmp_path / "a" / "out"
    try:
        run(HostileSession(files, folder=dice.choice(["/board", name(), 7])), folder)
    except Corrupt as error:
        assert not any(ord(character) < 32 for character in error.message)
    outside = {path for path in tree(tmp_path) if path not in {"a", "a/out"} and not path.startswith("a/out/")}
    assert outside == set()
    assert not [path for path in folder.rglob("*") if path.is_symlink() or path.parent != folder]


@pytest.mark.parametrize(
    "lines",
    [
        b'{"milliseconds": "fast"}\n[]\n7\nnull\n{"milliseconds": NaN}\n{"milliseconds": Infinity}\n{}\n',
        b'{"milliseconds": 1e400}\n' + b"[" * 100_000 + b"\n\xff\xfe\n",
        b'{"error": "\x1b"}\n{"milliseconds": 2}\n{"milliseconds": true}\n',
    ],
    ids=["other types", "deep", "some good"],
)
def test_answers_of_another_form_are_left_out_of_the_report(tmp_path: Path, lines: bytes) -> None:
    run(HostileSession({"answers.jsonl": len(lines)}, content=lines), tmp_path / "out")
