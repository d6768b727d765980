"""`atlasflow ship`: anybody's ONNX model to boards."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Profile, Set, parse_overrides
from flows.cli.output import print_line
from infra.errors import UserError
from infra.home import home
from infra.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.atc.lint.findings import Finding
    from tasks.release.foreign.prepare import Prepared

STAGES = ["convert", "publish", "deploy"]
# How programs scale the bytes of a picture before a network: means, then standard deviations, on a scale of 0 to 1.
SCALES = {
    "imagenet": "imagenet",
    "cifar10": "cifar10",
    "unit": "0,0,0,1,1,1",
    "signed": "0.5,0.5,0.5,0.5,0.5,0.5",
    "bytes": f"0,0,0,{1 / 255!r},{1 / 255!r},{1 / 255!r}",
}


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "ship",
        epilog="Examples: `atlasflow ship model.onnx --classes classes.txt --images photos/` · "
        "`atlasflow ship model.onnx --classes classes.txt --images photos/ --board porch --scale unit` · "
        "`atlasflow ship model.onnx --classes classes.txt --check`",
    )(ship)


def ship(
    model: Annotated[Path, typer.Argument(help="An ONNX file with one picture as input and a score for each class.")],
    classes: Annotated[Path, typer.Option(help="A file with a class name a line, in the order of the model's scores.")],
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures to compare with; in folders named as the classes if known."),
    ] = None,
    board: Annotated[list[str] | None, typer.Option(help="Deploy to this board; may be given several times.")] = None,
    size: Annotated[int, typer.Option(min=0, help="Height and width in pixels, where the model leaves them open.")] = 0,
    scale: Annotated[
        str,
        typer.Option(
            help="What the model takes: imagenet or cifar10 (normalised), unit (0 to 1), signed (-1 to 1), bytes (0 to "
            "255), or six numbers: means, standard deviations. By default imagenet, and bytes for an uint8 input."
        ),
    ] = "",
    fit: Annotated[str, typer.Option(help="How pictures become square: stretch, crop or letterbox.")] = "stretch",
    check: Annotated[bool, typer.Option("--check", help="Only lint the model; compile and change nothing.")] = False,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Lint a model for ATC, put right what is safe, compile it, compare it on your pictures, and deploy it.

    Each finding has a remedy. The model's own answers under ONNX Runtime are what the compiled model must give.
    """
    prepared, count = _inspect(model, classes, size, profile, settings)
    for finding in prepared.findings:
        print_line(str(finding))
    _stop_on_errors(model, prepared.findings)
    feed = prepared.reading.feed
    assert feed is not None  # noqa: S101 - a model without errors has an input
    if check:
        print_line(f"{model.name} can be compiled: {feed.size} pixels, {count} classes")
        return
    if images is None:
        raise UserError("--images is missing", hint="name a folder of pictures, or --check the model only")
    if not images.is_dir():
        raise UserError(f"--images: there is no folder {images}", hint="name a folder of pictures")
    scale = scale or ("bytes" if feed.dtype == "uint8" else "imagenet")
    given = {
        "convert.model": str(model.absolute()),
        "convert.classes": str(classes.absolute()),
        "convert.images": str(images.absolute()),
        "train.image_size": feed.size,
        "train.normalisation": SCALES.get(scale, scale),
        "data.fit": fit,
        **({"deploy.boards": board} if board else {}),
    }
    print_line(f"pictures: {feed.size} pixels, {fit}, scale {scale}")
    from flows.cli.run import run  # noqa: PLC0415 - its engine is not needed for a check

    run(
        profile,
        stage=STAGES,
        settings=[*(f"{name}={json.dumps(value)}" for name, value in given.items()), *(settings or [])],
    )


def _inspect(model: Path, classes: Path, size: int, profile: str, settings: list[str] | None) -> "tuple[Prepared, int]":
    from infra.world import World  # noqa: PLC0415 - only here
    from tasks.release.foreign.pictures import class_names  # noqa: PLC0415 - onnx is heavy
    from tasks.release.foreign.prepare import prepare, target_of  # noqa: PLC0415

    for path in (model, classes):
        if not path.is_file():
            raise UserError(f"there is no file {path}")
    names = class_names(classes)
    loaded = load(profile, parse_overrides(settings))
    target = target_of(loaded, World(loaded, home()).compiler().producer())
    prepared = prepare(model, len(names), target, size=size)
    return prepared, len(names)


def _stop_on_errors(model: Path, findings: "Sequence[Finding]") -> None:
    from infra.atc.lint.findings import errors  # noqa: PLC0415

    found = errors(findings)
    if found:
        more = f" (and {len(found) - 1} more errors, above)" if len(found) > 1 else ""
        raise UserError(f"{model.name} cannot be compiled for boards: {found[0].what}{more}", hint=found[0].remedy)
