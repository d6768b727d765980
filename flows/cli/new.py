"""`atlasflow new`: a folder for a project of one's own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import print_line, print_table
from infra.errors import UserError
from infra.home import PROJECT_FILE
from infra.ports.values import LocalFile
from infra.store.atomic import write_text
from tasks.dataset.layouts import find
from tasks.dataset.suggestion import Choice, suggest

_MEASURED = 200  # pictures whose size is looked at
_README = """# {name}

{pictures:,} pictures of {classes:,} classes from {images}.

```sh
atlasflow run              # prepare, train, evaluate, export, compile, publish, deploy to the stand-in board
atlasflow run              # again: nothing to do
atlasflow show samples     # the pictures as the network sees them
```

Settings are in `{file}`; state is in `.atlasflow/`, which may be deleted. The report about the pictures is
`.atlasflow/latest/download/report/report.html`.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(epilog="Example: `atlasflow new parts --images ~/photos/parts`, then `cd parts && atlasflow run`")(new)


def new(
    name: Annotated[str, typer.Argument(help="Folder of the project; made.")],
    images: Annotated[Path, typer.Option(help="Folder with a folder of pictures for each class.")],
) -> None:
    """Write a project: a profile with settings that suit the pictures, and why; every command works inside it."""
    folder, source = Path(name), images.expanduser().resolve()
    if not source.is_dir():
        raise UserError(f"{images} is not a folder", hint="name the folder that holds the class folders")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty", hint="choose another name")
    files = {path.relative_to(source).as_posix(): path for path in sorted(source.rglob("*")) if path.is_file()}
    layout = find({inner: LocalFile(path, "", 0) for inner, path in files.items()})
    paths = [entry.path for entry in layout.entries if entry.path is not None]
    choices = suggest(len(paths), len(layout.names), _sides(paths))
    write_text(folder / PROJECT_FILE, profile(source, choices))
    write_text(folder / ".gitignore", ".atlasflow/\n")
    facts = {"name": folder.name, "pictures": len(paths), "classes": len(layout.names), "images": source}
    write_text(folder / "README.md", _README.format(file=PROJECT_FILE, **facts))
    print_line(f"{len(paths):,} pictures of {len(layout.names):,} classes ({layout.kind})")
    print_table(("setting", "value", "why"), [(item.name, item.value, item.reason) for item in choices])
    print_line(f"{folder}/ is ready: cd {folder} && atlasflow run")


def profile(source: Path, choices: list[Choice]) -> str:
    """Return the text of the profile."""
    inside = [f"{item.name} = {item.value}  # {item.reason}" for item in choices if "." not in item.name]
    gate = next(item for item in choices if item.name == "evaluate.min_accuracy")
    lines = [
        "# The profile of this project. `atlasflow settings` lists everything that can be set.",
        "[data]",
        f"source = {json.dumps(str(source), ensure_ascii=False)}  # a folder for each class",
        'fit = "stretch"  # how pictures become square: stretch, crop (their centre), letterbox (whole, on black)',
        "eval_share = 0.2  # held out for evaluation, where the folder has no train and test",
        "",
        "[train]",
        'target = "local"',
        'recipe = "compact"',
        *inside,
        "",
        "[evaluate]",
        f"min_accuracy = {gate.value}  # {gate.reason}",
    ]
    return "\n".join(lines) + "\n"


def _sides(paths: list[Path]) -> list[int]:
    """The shorter sides of some pictures, spread evenly; only their headers are read.

    Raises:
        UserError: none can be opened.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - other commands need no pictures

    sides = []
    for path in paths[:: max(1, len(paths) // _MEASURED)]:
        try:
            with Image.open(path) as picture:
                sides.append(min(picture.size))
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
            continue  # the download lists it with its reason
    if not sides:
        raise UserError("none of the pictures can be opened", hint="are these JPEG, PNG, WebP, BMP, GIF or TIFF files?")
    return sides
