"""Classify pictures on a board: copy them there, run the active release's agent, fetch the annotated copies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.board import answers
from infra.board.bench import device_words
from infra.board.session import Session
from infra.errors import Refused, UserError
from infra.ports.board import Classification
from infra.store.atomic import replacing

SECONDS = 600.0
MAX_ANNOTATED_BYTES = 64 * 2**20
_MAX_CLASSES = 100


@dataclass(frozen=True)
class AgentAnswer:
    """The agent's answer to one picture: five best classes and their numbers, or `problem`.

    `annotated` is a path on the board.
    """

    top: tuple[tuple[str, float], ...] = ()
    milliseconds: float = 0.0
    annotated: str = ""
    problem: str = ""
    numbers: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, said: Any) -> "AgentAnswer":
        """Read the JSON form; `problem` names the picture by its path on the board, which is cut out."""
        if "error" in said:
            return cls(problem=answers.text(said["error"]).replace(f"{answers.text(said['picture'])}", "the picture"))
        top = tuple(
            (answers.text(label, answers.MAX_WORD), answers.number(probability))
            for label, probability in answers.items(said["top"], _MAX_CLASSES)
        )
        if not top:
            raise ValueError("a picture has no class")
        numbers = tuple(answers.count(number) for number in answers.items(said["numbers"], len(top)))
        return cls(top, answers.number(said["milliseconds"]), answers.text(said["annotated"]), numbers=numbers)


async def classify(
    session: Session, pictures: Sequence[Path], folder: Path, devices: str = "0", *, inside: bool = False
) -> list[Classification]:
    """Classify pictures with the active release and fetch the annotated copies into `folder`.

    Raises:
        Refused: no release is active.
        Corrupt: the board's answer cannot be used.
    """
    active = (await session.ask("state", answers.state)).active
    if active is None:
        raise Refused(f"board {session.name} has no release in service", hint="deploy one first")
    work = await session.ask("make_work", answers.text)
    session.step("pictures")
    names = [f"{work}/{index}{picture.suffix}" for index, picture in enumerate(pictures)]
    for picture, name in zip(pictures, names, strict=True):
        await session.files.send(picture, name, None)

    def read(answer: Any) -> list[AgentAnswer]:
        found = [AgentAnswer.from_json(said) for said in answers.items(answer["pictures"])]
        if len(found) != len(pictures):
            raise ValueError(f"{len(found)} answers to {len(pictures)} pictures")
        return found

    found = await session.ask(
        "agent",
        read,
        timeout=SECONDS + 30,
        release=active,
        arguments=[
            *("classify", "--json", *device_words(devices), "--output", f"{work}/out"),
            *(("--caption", "inside") if inside else ()),
            *names,
        ],
        seconds=SECONDS,
    )
    session.step("fetch")
    targets = _names(pictures, [Path(answer.annotated).suffix for answer in found])
    return [
        await _fetch(session, answer, picture, folder / target)
        for answer, picture, target in zip(found, pictures, targets, strict=True)
    ]


def _names(pictures: Sequence[Path], suffixes: Sequence[str]) -> list[str]:
    """Names for annotated copies: those of the pictures, with a number where a name is taken."""
    taken: list[str] = []
    for picture, suffix in zip(pictures, suffixes, strict=True):
        name, number = f"{picture.stem}{suffix}", 1
        while name in taken:
            number += 1
            name = f"{picture.stem}-{number}{suffix}"
        taken.append(name)
    return taken


def check_pictures(pictures: Sequence[Path]) -> None:
    """Check the pictures before a connection is made.

    Raises:
        UserError: there is none, or one does not exist.
    """
    missing = [str(picture) for picture in pictures if not picture.is_file()]
    if missing or not pictures:
        raise UserError(f"there is no picture {', '.join(missing)}" if missing else "no picture was given")


async def _fetch(session: Session, found: AgentAnswer, picture: Path, target: Path) -> Classification:
    if found.problem:
        return Classification(str(picture), (), 0.0, None, found.problem)
    with replacing(target) as temporary:
        await session.files.fetch(found.annotated, temporary, MAX_ANNOTATED_BYTES)
    return Classification(str(picture), found.top, found.milliseconds, target, numbers=found.numbers)
