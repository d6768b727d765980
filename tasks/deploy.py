"""Deploy: `.om` → a release in service on each board, then some pictures classified there and fetched back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import UserError
from infra.ports import Release
from tasks import release
from tasks.base import Made, Stage, Work
from tasks.images import evaluation_images, labels
from tasks.parity_files import write_with_boards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.ports import Board, Classification, LocalFile
    from infra.settings import Settings

SHOWN_PICTURES = 6


def run(work: Work) -> Made:
    """Install the release on every board, then let each classify the same pictures."""
    wanted = release.identifier(work.files["release"])
    pictures = _pictures(work)
    answers_folder = work.folder / "pictures"
    boards: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    for name in work.settings.deploy.boards:
        board = work.world.board(name)
        boards[name] = _install(work, board)
        found = board.classify(pictures, answers_folder / name)
        answers[name] = [_answer(item) for item in found]
        _show(work, board, found)
    files = {"boards": work.folder / "boards.json", "answers": work.folder / "answers.json"}
    files |= write_with_boards(json.loads(work.input("ledger").read_text()), boards, work.folder)
    files["boards"].write_text(json.dumps({"release": wanted, "boards": boards}, indent=1, sort_keys=True))
    files["answers"].write_text(json.dumps(answers, indent=1, sort_keys=True))
    changed = sum(1 for entry in boards.values() if entry["changed"])
    note = f"release {wanted} on {len(boards)} of {len(boards)} boards, {changed} changed"
    return Made({**files, "pictures": answers_folder}, note)


def prove(work: Work, _made: Mapping[str, Mapping[str, LocalFile]]) -> str | None:
    """Ask each board: is the release in service?"""
    wanted = release.identifier(work.files["release"])
    for name in work.settings.deploy.boards:
        active = work.world.board(name).state().active
        if active != wanted:
            return f"board {name} runs {active or 'nothing'} instead of {wanted}"
    return None


def _release(work: Work, board: str, soc_version: str) -> Release:
    """The part of the release that is for a board's chip."""
    chips = release.chips(work.files["release"])
    if soc_version not in chips:
        raise UserError(
            f"board {board} has {soc_version or 'an unknown chip'}; the release is for {', '.join(chips)}",
            hint=f"set boards.{board}.soc to the chip, or name it in convert.soc_versions",
        )
    return Release(release.identifier(work.files["release"]), chips[soc_version], soc_version, work.emulated)


def _install(work: Work, board: Board) -> dict[str, Any]:
    facts = board.facts()
    built = _release(work, board.name, facts.soc_version)
    total, moved = sum(file.size for file in built.files.values()), 0

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        work.reporter.progress("deploy", moved, total, "bytes")

    done = board.install(built, progress)
    stand_in = " (stand-in)" if facts.emulated else ""
    word = "now runs" if done.changed else "already ran"
    smoke = (
        f"{done.smoke['agreement']:.0%} of {done.smoke['images']} images agree, largest logit difference "
        f"{done.smoke['max_difference']:.2g} ({done.smoke['tolerance']:.2g} allowed)"
    )
    work.reporter.line("deploy", f"board {board.name}{stand_in} {word} {built.id}; smoke test: {smoke}")
    return {"facts": asdict(facts), "changed": done.changed, "bytes_sent": done.bytes_sent, "smoke": dict(done.smoke)}


def _pictures(work: Work) -> list[Path]:
    """The pictures to classify: the operator's, or one evaluation image of each of the first classes."""
    if "pictures" in work.files:
        return [file.path for file in work.files["pictures"].values()]
    from PIL import Image

    images, numbers = evaluation_images(work)
    names = labels(work)
    folder = work.folder / "samples"
    folder.mkdir()
    chosen = []
    for number in sorted(set(numbers))[:SHOWN_PICTURES]:
        index = numbers.index(number)
        path = folder / f"{names[number]}-{index}.png"
        Image.fromarray(images[index]).save(path)
        chosen.append(path)
    return chosen


def _answer(found: Classification) -> dict[str, Any]:
    return {
        "picture": Path(found.picture).name,
        "top": [{"class": name, "probability": probability} for name, probability in found.top],
        "milliseconds": found.milliseconds,
        "problem": found.problem,
    }


def _show(work: Work, board: Board, found: Sequence[Classification]) -> None:
    for item in found:
        answer = item.problem or "{} ({:.1%})".format(*item.top[0])
        work.reporter.line("deploy", f"{board.name}: {Path(item.picture).name} → {answer}")


def _given(settings: Settings) -> Mapping[str, Path]:
    return {"pictures": Path(settings.deploy.pictures)} if settings.deploy.pictures else {}


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {"boards": list(settings.deploy.boards)}


STAGE = Stage(
    "deploy",
    "effect",
    run,
    needs={"release": ("publish", "release"), "ledger": ("convert", "ledger"), "data": ("download", "data")},
    given=_given,
    settings=_settings,
    prove=prove,
)
