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
    """The agent's answer to one picture: five best classes, or `problem`; `annotated` is a path on the board."""

    top: tuple[tuple[str, float], ...] = ()
    milliseconds: float = 0.0
    annotated: str = ""
    problem: str = ""

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
        return cls(top, answers.number(said["milliseconds"]), answers.text(said["annotated"]))


async def classify(
    session: Session, pictures: Sequence[Path], folder: Path, devices: str = "0"
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
        await session.send(picture, name, None)

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
        arguments=["classify", "--json", *device_words(devices), "--output", f"{work}/out", *names],
        seconds=SECONDS,
    )
    session.step("fetch")
    return [
        await _fetch(session, answer, picture, folder / f"{index:03}-{picture.stem}.png")
        for index, (answer, picture) in enumerate(zip(found, pictures, strict=True))
    ]


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
        await session.fetch(found.annotated, temporary, MAX_ANNOTATED_BYTES)
    return Classification(str(picture), found.top, found.milliseconds, target)
