"""Prepare a data set: find pictures, decode them, keep near-duplicates together, split, write, report."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.store.artifacts import ArtifactStore
from infra.store.code_digest import closure
from models.data.images import NAMES
from models.data.prepared import DESCRIPTION, Description, write_part
from models.preprocess import Contract
from tasks.dataset import duplicates, layouts, report
from tasks.dataset.pictures import Spool, decode
from tasks.dataset.reuse import Reuse
from tasks.dataset.split import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from infra.ports.values import LocalFile
    from models.data.prepared import Part
    from tasks.dataset.cifar import Arrays
    from tasks.dataset.pictures import Decoded
    from tasks.dataset.report import Report
    from tasks.dataset.values import Layout, Rules

    Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_NAMED = 5  # unusable files in a message


@dataclass(frozen=True)
class Prepared:
    """A data set on the disk, and its report."""

    folder: Path
    report: Report
    decoded: int


def prepare(
    files: Mapping[str, LocalFile],
    table: str | None,
    rules: Rules,
    folder: Path,
    home: Path,
    progress: Callable[[float, float], None],
) -> Prepared:
    """Prepare the pictures of a source.

    Args:
        files: all files of the source, by their path inside it.
        table: the CSV table or manifest that lists the pictures; None to look for one, or for class folders.
        rules: how.
        folder: scratch space; the data set becomes `folder/data`.
        home: of the store, which has the images of earlier data sets.
        progress: receives pictures done and in all.

    Raises:
        UserError: the source is not understood, or too many pictures cannot be used.
    """
    layout = layouts.find(files, table)
    contract = Contract(rules.size, fit=rules.fit, interpolation=rules.interpolation, orientation=rules.orientation)
    code = closure(("tasks.dataset.worker",), CHECKOUT)
    reuse = Reuse(ArtifactStore(home), contract, code, version("pillow"))
    with Spool(folder / "images.tmp", rules.size) as images:
        decoded = decode(layout.entries, contract, images, reuse, progress)
        _check_share(layout, decoded, rules, home)
        groups = duplicates.groups(decoded.looks, [entry.sha256 for entry in decoded.entries])
        parts = split(decoded.entries, groups, rules)
        _check_classes(layout.names, decoded, parts)
        target = folder / "data"
        description = write(target, layout.names, decoded, parts, rules)
    reuse.remember(decoded, parts, description)
    found = report.build(layout, decoded, groups, parts, description)
    return Prepared(target, found, decoded.decoded)


def write(
    folder: Path, names: Sequence[str], decoded: Decoded, parts: Mapping[str, Sequence[int]], rules: Rules
) -> Description:
    """Write the prepared form (`models/data/prepared.py`)."""
    numbers = {name: number for number, name in enumerate(names)}
    moments = Moments()
    written: dict[str, Part] = {}
    for part, places in parts.items():
        labels = [numbers[decoded.entries[place].label] for place in places]
        images = (decoded.image(place) for place in places)
        counted = moments.count(images) if part == "train" else images
        written[part] = write_part(folder / part, labels, counted, rules.size)
    mean, std = moments.result()
    return _describe(folder, names, Description(rules.size, True, *rules.geometry(), mean, std, written))


def write_arrays(arrays: Arrays, rules: Rules, folder: Path) -> tuple[Path, Report]:
    """Write images that are square already, in the size they have; networks of other sizes resize them."""
    target = folder / "data"
    moments = Moments()
    written: dict[str, Part] = {}
    for part, (pixels, labels) in arrays.parts.items():
        images = moments.count(iter(pixels)) if part == "train" else iter(pixels)
        written[part] = write_part(target / part, labels.tolist(), images, pixels.shape[1])
    mean, std = moments.result()
    for name in arrays.names:
        layouts.check_class_name(name)
    side = next(iter(arrays.parts.values()))[0].shape[1]
    description = _describe(target, arrays.names, Description(side, False, *rules.geometry(), mean, std, written))
    numbers = {part: values for part, (_, values) in arrays.parts.items()}
    return target, report.of_arrays(arrays.kind, arrays.names, numbers, description)


def _describe(folder: Path, names: Sequence[str], description: Description) -> Description:
    (folder / NAMES).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    (folder / DESCRIPTION).write_text(description.to_json(), encoding="utf-8")
    return description


class Moments:
    """Mean and standard deviation of the pixels of images, by channel, in whole numbers until the end."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = np.zeros(3, np.int64)
        self._squares = np.zeros(3, np.int64)

    def count(self, images: Iterator[Pixels]) -> Iterator[Pixels]:
        """Pass images on, uint8 [side, side, 3], and count them."""
        values = np.arange(256, dtype=np.int64)
        for image in images:
            for channel in range(3):
                seen = np.bincount(image[..., channel].ravel(), minlength=256)
                self._sums[channel] += int(seen @ values)
                self._squares[channel] += int(seen @ (values * values))
            self._count += image.shape[0] * image.shape[1]
            yield image

    def result(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return mean and standard deviation on a scale of 0 to 1; the latter at least one level."""
        mean = self._sums / self._count
        std = np.sqrt(np.maximum(self._squares / self._count - mean**2, 1.0))
        one, two = ([round(float(value) / 255, 6) for value in values] for values in (mean, std))
        return (one[0], one[1], one[2]), (two[0], two[1], two[2])


def _check_share(layout: Layout, decoded: Decoded, rules: Rules, home: Path) -> None:
    """Stop when too many pictures cannot be used.

    Raises:
        UserError: names some, and the file that lists all.
    """
    share = len(decoded.skipped) / len(layout.entries)
    if share <= rules.max_unusable and decoded.entries:
        return
    listing = home / "prepared" / "unusable.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("".join(f"{item.name}\t{item.problem}\t{item.detail}\n" for item in decoded.skipped))
    some = "; ".join(f"{item.name}: {item.problem}" for item in decoded.skipped[:_NAMED])
    raise UserError(
        f"{len(decoded.skipped):,} of {len(layout.entries):,} pictures cannot be used ({share:.1%}, "
        f"data.max_unusable allows {rules.max_unusable:.1%}): {some}"
        + ("; …" if len(decoded.skipped) > _NAMED else ""),
        hint=f"{listing} lists all; repair or remove them, or set data.max_unusable higher",
    )


def _check_classes(names: Sequence[str], decoded: Decoded, parts: Mapping[str, Sequence[int]]) -> None:
    found = {decoded.entries[place].label for place in parts["train"]}
    empty = [name for name in names if name not in found]
    if empty:
        raise UserError(
            f"the class {empty[0]} has no usable training picture",
            hint="add pictures, or remove its folder, and its line in classes.txt",
        )
