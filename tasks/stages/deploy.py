"""Deploy: activate a release on each board, classify some pictures there, and fetch the annotated copies."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.board.release_folder import DESCRIPTION, releases_in
from infra.errors import Corrupt, GateFailed, Refused, UserError
from infra.ports.release import Release
from infra.ports.values import Producer
from infra.store.artifacts import folder_files
from tasks.class_names import labels
from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.evaluation_images import evaluation_images
from tasks.release.deployment import DeployedBoard, Deployment
from tasks.release.ledger import Ledger
from tasks.release.parity_report import write_with_boards
from tasks.specs import data_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.ports.board import Board, Classification
    from infra.ports.values import LocalFile
    from infra.settings import Settings
    from infra.world import World
    from models.data.images import Pixels

SHOWN_PICTURES = 6


def run(context: StageContext) -> StageOutput:
    """Install the release on every board, then let each classify the same pictures."""
    wanted = _identifier(context)
    pictures = _pictures(context)
    fleet = context.world.fleet()
    fleet.keep(context.files["release"], "the release")
    answers_folder = context.folder / "pictures"
    boards: dict[str, DeployedBoard] = {}
    answers: dict[str, Any] = {}
    for name in context.settings.deploy.boards:
        board = context.world.board(name)
        before = board.state().active
        boards[name] = _install(context, board)
        found = _classify(context, board, pictures, answers_folder / name, before)
        answers[name] = [_answer(item) for item in found]
        _show(context, board, found)
        fleet.want(wanted, name)
    files = {"boards": context.folder / "boards.json", "answers": context.folder / "answers.json"}
    if "ledger" in context.files:
        ledger = Ledger.from_json(json.loads(context.input("ledger").read_text()))
        files |= write_with_boards(ledger, boards, context.folder)
    files["boards"].write_text(json.dumps(Deployment(wanted, boards).to_json(), indent=1, sort_keys=True))
    files["answers"].write_text(json.dumps(answers, indent=1, sort_keys=True))
    changed = sum(1 for entry in boards.values() if entry.changed)
    note = f"release {wanted} on {len(boards)} of {len(boards)} boards, {changed} changed"
    return StageOutput({**files, "pictures": answers_folder}, note)


def recorded(context: StageContext) -> str | None:
    """Compare the release with what this home has recorded for each board; boards are not asked."""
    wanted, known = _identifier(context), context.world.fleet().wanted()
    for name in context.settings.deploy.boards:
        if known.get(name) != wanted:
            return f"board {name} was given {known.get(name, 'nothing')} since, not {wanted}"
    return None


def prove(context: StageContext, _made: Mapping[str, Mapping[str, LocalFile]]) -> str | None:
    """Ask each board whether the release is active, and let it verify every byte."""
    wanted = _identifier(context)
    for name in context.settings.deploy.boards:
        board = context.world.board(name)
        active = board.state().active
        if active != wanted:
            return f"board {name} runs {active or 'nothing'} instead of {wanted}"
        try:
            board.verify(wanted)
        except (Refused, Corrupt) as error:
            return error.message
    return None


def _identifier(context: StageContext) -> str:
    return next(iter(releases_in(context.files["release"], "the release").values())).id


def _release(context: StageContext, board: str, soc_version: str) -> Release:
    """The release for a board's chip."""
    chips = releases_in(context.files["release"], "the release")
    if soc_version not in chips:
        raise UserError(
            f"board {board} has {soc_version or 'an unknown chip'}; the release is for {', '.join(chips)}",
            hint=f"set boards.{board}.soc to the chip, or name it in convert.soc_versions",
        )
    built = chips[soc_version]
    return replace(built, emulated=built.emulated or context.emulated)


def _install(context: StageContext, board: Board) -> DeployedBoard:
    facts = board.facts()
    built = _release(context, board.name, facts.soc_version)
    total, moved = sum(file.size for file in built.files.values()), 0

    def progress(count: int) -> None:
        nonlocal moved
        moved += count
        context.reporter.progress("deploy", moved, total, "bytes")

    done = board.install(_renewed(context, board, built), progress)
    stand_in = " (stand-in)" if facts.emulated else ""
    word = "now runs" if done.changed else "already ran"
    smoke = "its result is no longer in the board's journal"
    if done.smoke is not None:
        smoke = (
            f"{done.smoke.agreement:.0%} of {done.smoke.images} images agree, largest logit difference "
            f"{done.smoke.max_difference:.2g} ({done.smoke.tolerance:.2g} allowed)"
        )
    context.reporter.line("deploy", f"board {board.name}{stand_in} {word} {built.id}; smoke test: {smoke}")
    return DeployedBoard(facts, done.changed, done.bytes_sent, done.smoke)


def _renewed(context: StageContext, board: Board, built: Release) -> Release:
    """The chain's own release, signed again when the board has run a newer one; others are left to the board.

    Deploying it is this home's decision, and its key stands for that; the board still refuses old releases of others.
    """
    floor = board.state().floor
    if context.settings.deploy.release or not floor:
        return built
    renewed = context.world.signer().renew_below(built, floor)
    if renewed is not built:
        context.reporter.line("deploy", f"board {board.name} has run a newer release; {built.id} is signed again")
        context.world.fleet().keep_manifest(renewed)
    return renewed


def _classify(
    context: StageContext, board: Board, pictures: Sequence[Path], folder: Path, before: str | None
) -> Sequence[Classification]:
    """Classify pictures with the new release; when that fails, activate the previous release again."""
    try:
        return board.classify(pictures, folder)
    except (GateFailed, Refused, Corrupt, UserError):
        if before not in (None, board.state().active):
            board.rollback()
            context.reporter.line("deploy", f"board {board.name} is back on {before}: the new release cannot classify")
        raise


def _pictures(context: StageContext) -> list[Path]:
    """The pictures to classify: the operator's, or one evaluation image of each of the first classes."""
    if "pictures" in context.files:
        if not context.files["pictures"]:
            raise UserError(f"deploy.pictures is {context.settings.deploy.pictures}, which has no file")
        return [file.path for file in context.files["pictures"].values()]
    from PIL import Image

    images, numbers, names = _examples(context)
    folder = context.folder / "samples"
    folder.mkdir()
    chosen = []
    for number in sorted(set(numbers))[:SHOWN_PICTURES]:
        index = numbers.index(number)
        path = folder / f"{names[number]}-{index}.png"
        Image.fromarray(images[index : index + 1][0]).save(path)
        chosen.append(path)
    return chosen


def _examples(context: StageContext) -> tuple[Pixels, list[int], list[str]]:
    """Images, the numbers of their classes, and the class names: of the evaluation, or of an external release."""
    import numpy as np

    if "data" in context.files:
        return (*evaluation_images(context), labels(context))
    files = next(iter(releases_in(context.files["release"], "the release").values())).files
    images, numbers = (np.load(files[f"smoke/{name}.npy"].path, allow_pickle=False) for name in ("images", "labels"))
    return images, numbers.tolist(), json.loads(files[DESCRIPTION].path.read_text(encoding="utf-8"))["labels"]


def _answer(found: Classification) -> dict[str, Any]:
    return {
        "picture": Path(found.picture).name,
        "top": [{"class": name, "probability": probability} for name, probability in found.top],
        "milliseconds": found.milliseconds,
        "problem": found.problem,
    }


def _show(context: StageContext, board: Board, found: Sequence[Classification]) -> None:
    for item in found:
        answer = item.problem or "{} ({:.1%})".format(*item.top[0])
        context.reporter.line("deploy", f"{board.name}: {Path(item.picture).name} → {answer}")


def _external_inputs(settings: Settings) -> Mapping[str, Path]:
    named = {"pictures": settings.deploy.pictures, "release": settings.deploy.release}
    return {name: Path(path) for name, path in named.items() if path}


def _needs(settings: Settings) -> dict[str, tuple[str, str]]:
    """An external release needs no other stage of this chain."""
    if settings.deploy.release:
        return {"release": ("publish", "release")}
    return {"release": ("publish", "release"), "ledger": ("convert", "ledger"), "data": data_source(settings)}


def _producer(world: World) -> Producer | None:
    """The producer of an external release, read from the release, because there are no receipts."""
    given = world.settings.deploy.release
    if not given:
        return None
    found = releases_in(folder_files(Path(given))[1], given)
    emulated = any(built.emulated for built in found.values())
    return Producer("release", next(iter(found.values())).id, emulated=emulated)


def _settings(settings: Settings) -> Mapping[str, Any]:
    return {"boards": {name: _identity(settings, name) for name in settings.deploy.boards}}


def _identity(settings: Settings, name: str) -> str:
    """Which board this is, as a digest, since keys name no host."""
    board = settings.boards.get(name)
    if board is None or not board.address:
        return "stand-in"
    return sha256(f"{board.user}@{board.address.lower()}:{board.port}/{board.folder}".encode()).hexdigest()[:16]


STAGE = Stage(
    "deploy",
    "effect",
    run,
    needs=_needs,
    external_inputs=_external_inputs,
    settings=_settings,
    producer=_producer,
    recorded=recorded,
    records=("fleet/wanted.jsonl",),
    prove=prove,
)
