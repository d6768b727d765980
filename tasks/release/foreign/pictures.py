"""The user's own pictures as a data set of evaluation images, with their true classes where folders tell them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from infra.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from infra.ports.values import LocalFile
    from models.preprocess import Contract

CLASS_NAMES = "batches.meta.txt"
_PART = "eval"
# What other programs leave in folders of pictures; nobody calls these pictures.
_LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")
_TEXTS = (".txt", ".md", ".json", ".csv", ".xml", ".yaml", ".yml", ".html", ".py")


@dataclass(frozen=True)
class Pictures:
    """The pictures of a folder.

    Attributes:
        images: uint8 [n, size, size, 3], RGB.
        labels: class numbers, [n]; None when the folder does not tell them.
        skipped: files that are no pictures, and why.
    """

    images: np.ndarray[Any, np.dtype[np.uint8]]
    labels: list[int] | None
    skipped: Mapping[str, str]


def class_names(path: Path) -> list[str]:
    """Read a file with a class name a line, in the order of the model's outputs.

    Raises:
        UserError: it is no UTF-8 text, has fewer than two names, one twice, or one that is empty or not printable.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as class names: {error}", hint="write a name a line, in UTF-8"
        ) from error
    while lines and not lines[-1]:
        lines.pop()
    for number, name in enumerate(lines, 1):
        if not name or not name.isprintable():
            raise UserError(f"{path}: line {number} has no printable class name", hint="write a name a line")
        if name in lines[: number - 1]:
            raise UserError(
                f"{path} names the class '{name}' in line {lines.index(name) + 1} and line {number}",
                hint="tell them apart, as in 'crane (bird)' and 'crane (machine)'",
            )
    if len(lines) < 2:
        raise UserError(f"{path} names {len(lines)} classes", hint="a classifier has at least two: a name a line")
    return lines


def read(files: Mapping[str, LocalFile], names: Sequence[str], contract: Contract, most: int) -> Pictures:
    """Decode at most `most` pictures, as many of each class as possible; which ones depends on their bytes alone.

    Args:
        files: of the folder, by path inside it.
        names: of the classes.
        contract: the input contract of the model.
        most: number of pictures to take.

    Raises:
        UserError: there is no picture, or some are in folders of classes and others are not.
    """
    import numpy as np

    candidates = {name: file for name, file in files.items() if _may_be_picture(name)}
    labels = _labels(candidates, names)
    groups: dict[int, list[str]] = {}
    for name in sorted(candidates, key=lambda name: candidates[name].sha256):
        groups.setdefault(labels.get(name, 0), []).append(name)
    turns = [name for row in zip_longest(*(groups[number] for number in sorted(groups))) for name in row if name]
    images: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    taken: list[str] = []
    skipped: dict[str, str] = {}
    for name in turns:
        if len(taken) == most:
            break
        try:
            images.append(contract.image(contract.open(str(candidates[name].path))))
        except Exception as error:  # noqa: BLE001 - Pillow raises anything for broken files; it is reported
            skipped[name] = f"{type(error).__name__}: {error}"
            continue
        taken.append(name)
    if not taken:
        raise UserError(
            f"the folder has no picture that can be read ({len(skipped)} of {len(candidates)} files were tried)",
            hint="name a folder with JPEG, PNG, WebP, BMP, GIF or TIFF files, in folders named as the classes if known",
        )
    return Pictures(np.stack(images), [labels[name] for name in taken] if labels else None, skipped)


def _may_be_picture(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part in _LITTER for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() not in _TEXTS


def _labels(candidates: Mapping[str, LocalFile], names: Sequence[str]) -> dict[str, int]:
    """Class numbers by the nearest folder with a class's name; empty when no folder has one."""
    numbers = {name.casefold(): number for number, name in enumerate(names)}
    found: dict[str, int] = {}
    for name in candidates:
        folders = (part.casefold() for part in reversed(PurePosixPath(name).parent.parts))
        number = next((numbers[part] for part in folders if part in numbers), None)
        if number is not None:
            found[name] = number
    if found and len(found) < len(candidates):
        lost = [name for name in candidates if name not in found]
        raise UserError(
            f"{len(found)} pictures are in folders of classes and {len(lost)} are not, such as {lost[0]}",
            hint=f"name the folders as the classes, which are {', '.join(names[:5])}{', …' if len(names) > 5 else ''}",
        )
    return found


def write(pictures: Pictures, labels: Sequence[int], names: Sequence[str], contract: Contract, folder: Path) -> None:
    """Write the pictures as a prepared data set with the part `eval` alone (`models/data/prepared.py`)."""
    from models.data.prepared import DESCRIPTION, Description, write_part

    part = write_part(folder / _PART, labels, iter(pictures.images), contract.size)
    values = pictures.images.reshape(-1, 3).astype("float64") / 255
    mean, std = (_by_channel(found.round(6)) for found in (values.mean(axis=0), values.std(axis=0)))
    about = Description(
        contract.size, True, contract.fit, contract.interpolation, contract.orientation, mean, std, {_PART: part}
    )
    (folder / DESCRIPTION).write_text(about.to_json(), encoding="utf-8")
    (folder / CLASS_NAMES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _by_channel(values: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
