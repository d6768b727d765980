"""The validation report of a data set: as data, as a page, and as a picture with samples of each class."""

from __future__ import annotations

import html
import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.data.prepared import Description
    from tasks.dataset.pictures import Decoded
    from tasks.dataset.values import Layout

SAMPLES = 6  # of a class in the picture
_CLASSES_SHOWN = 20
_LISTED = 200  # rows of a list on the page; the data have all


@dataclass(frozen=True)
class Report:
    """What is known of a data set.

    Attributes:
        kind: of the source.
        classes: number of pictures of each part by class name.
        parts: number of pictures by part.
        sizes: smallest, median and largest width and height of the pictures, in pixels.
        imbalance: pictures of the largest class for one of the smallest.
        skipped: files that are not used: name, problem, detail.
        others: files that are no pictures by their names.
        equal, similar: groups of pictures with equal bytes, or that look nearly equal: their names.
        across: of both, those with pictures in training and evaluation.
        ambiguous: of both, those with pictures of several classes.
        without_eval: classes without a picture in the evaluation.
        prepared: the side of the images in pixels, and their input contract.
    """

    kind: str
    classes: Mapping[str, Mapping[str, int]]
    parts: Mapping[str, int]
    sizes: Mapping[str, Sequence[int]]
    imbalance: float
    skipped: Sequence[Mapping[str, str]]
    others: Sequence[str]
    equal: Sequence[Sequence[str]]
    similar: Sequence[Sequence[str]]
    across: Sequence[Sequence[str]]
    ambiguous: Sequence[Sequence[str]]
    without_eval: Sequence[str]
    prepared: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read `report.json`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def to_json(self) -> str:
        """Return the content of `report.json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def warnings(self) -> list[str]:
        """Say in sentences what a person should look at."""
        found = []
        if self.skipped:
            found.append(f"{len(self.skipped):,} pictures are not used")
        if self.across:
            found.append(f"{len(self.across):,} groups of (nearly) equal pictures lie in training and evaluation")
        if self.ambiguous:
            found.append(f"{len(self.ambiguous):,} groups of (nearly) equal pictures have several classes")
        if self.without_eval:
            some = ", ".join(self.without_eval[:5])
            found.append(f"{len(self.without_eval):,} classes have no evaluation picture, such as {some}")
        if self.imbalance > 10:
            found.append(f"the largest class has {self.imbalance:.0f} times the pictures of the smallest")
        return found


def build(
    layout: Layout,
    decoded: Decoded,
    groups: Sequence[Sequence[int]],
    parts: Mapping[str, Sequence[int]],
    description: Description,
) -> Report:
    """Collect the report of a prepared data set.

    Args:
        layout: of the source.
        decoded: its pictures.
        groups: places of pictures that are equal or nearly equal.
        parts: places of the pictures of each part.
        description: of the prepared files.
    """
    entries = decoded.entries
    counts = {part: Counter(entries[place].label for place in places) for part, places in parts.items()}
    totals = Counter(entry.label for entry in entries)
    side = {place: part for part, places in parts.items() for place in places}
    equal: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        equal[entry.sha256].append(entry.name)
    several = [group for group in groups if len(group) > 1]

    def named(found: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[entries[place].name for place in group] for group in found]

    return Report(
        kind=layout.kind,
        classes={name: {part: counts[part][name] for part in parts} for name in layout.names},
        parts={part: len(places) for part, places in parts.items()},
        sizes={
            "width": _spread([look.width for look in decoded.looks]),
            "height": _spread([look.height for look in decoded.looks]),
        },
        imbalance=round(max(totals.values()) / max(1, min(totals[name] for name in layout.names)), 2),
        skipped=[{"name": item.name, "problem": item.problem, "detail": item.detail} for item in decoded.skipped],
        others=list(layout.others),
        equal=[names for names in equal.values() if len(names) > 1],
        similar=named([group for group in several if len({entries[place].sha256 for place in group}) > 1]),
        across=named([group for group in several if len({side[place] for place in group}) > 1]),
        ambiguous=named([group for group in several if len({entries[place].label for place in group}) > 1]),
        without_eval=[name for name in layout.names if not counts["eval"][name]],
        prepared=_prepared(description),
    )  # fmt: skip


def of_arrays(kind: str, names: Sequence[str], labels: Mapping[str, Any], description: Description) -> Report:
    """Collect the report of images that came as arrays; equal images are not looked for.

    Args:
        kind: of the source.
        names: of the classes.
        labels: int32 [n] by part.
        description: of the prepared files.
    """
    counts = {part: np.bincount(values, minlength=len(names)) for part, values in labels.items()}
    totals = sum(counts.values())
    side = [description.side] * 3
    return Report(
        kind=kind,
        classes={name: {part: int(counts[part][number]) for part in labels} for number, name in enumerate(names)},
        parts={part: len(values) for part, values in labels.items()},
        sizes={"width": side, "height": side},
        imbalance=round(float(np.max(totals) / max(1, np.min(totals))), 2),
        skipped=[], others=[], equal=[], similar=[], across=[], ambiguous=[],
        without_eval=[name for number, name in enumerate(names) if not counts["eval"][number]],
        prepared=_prepared(description),
    )  # fmt: skip


def _prepared(description: Description) -> dict[str, Any]:
    names = ("side", "fit", "interpolation", "orientation", "mean", "std")
    return {name: getattr(description, name) for name in names}


def write(found: Report, data: Path, folder: Path) -> None:
    """Write `report.json`, `report.html` and `samples.png`.

    Args:
        found: the report.
        data: the prepared data set, for the samples.
        folder: made for the files.
    """
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(found.to_json(), encoding="utf-8")
    (folder / "report.html").write_text(page(found), encoding="utf-8")
    _draw_samples(found, data, folder / "samples.png")


def page(found: Report) -> str:
    """Return the report as a page of its own; the picture is beside it."""
    rows = [(name, *(count[part] for part in found.parts)) for name, count in found.classes.items()]
    blocks = [
        "<!doctype html><html><head><meta charset='utf-8'><title>Data set</title><style>"
        "body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "td,th{padding:.15em .8em;text-align:left}"
        "img{max-width:100%}</style></head><body><h1>Data set</h1>",
        f"<p>{html.escape(found.kind)}: {sum(found.parts.values()):,} pictures of {len(found.classes):,} classes, "
        + ", ".join(f"{count:,} for {html.escape(part)}" for part, count in found.parts.items())
        + f". Prepared at {found.prepared['side']} pixels ({html.escape(str(found.prepared['fit']))}).</p>",
        *(f"<p><strong>{html.escape(text)}</strong></p>" for text in found.warnings()),
        _table("Classes", ("class", *found.parts), rows),
        _table("Sizes in pixels", ("", "smallest", "median", "largest"), [(k, *v) for k, v in found.sizes.items()]),
        "<h2>Samples</h2><img src='samples.png' alt='samples of each class'>",
        _table("Not used", ("file", "reason", "detail"), [tuple(row.values()) for row in found.skipped]),
        _table("Not pictures by their names", ("file",), [(name,) for name in found.others]),
        _groups("Equal pictures", found.equal),
        _groups("Nearly equal pictures", found.similar),
        _groups("Equal or nearly equal in training and evaluation", found.across),
        _groups("Equal or nearly equal with several classes", found.ambiguous),
        "</body></html>",
    ]
    return "\n".join(block for block in blocks if block)


def _groups(heading: str, found: Sequence[Sequence[str]]) -> str:
    return _table(heading, ("pictures",), [(", ".join(group),) for group in found])


def _table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    shown = rows[:_LISTED]
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in shown)
    more = f"<p>… and {len(rows) - _LISTED:,} more in report.json</p>" if len(rows) > _LISTED else ""
    return f"<h2>{html.escape(heading)}</h2><table><tr>{head}</tr>{body}</table>{more}"


def _spread(values: Sequence[int]) -> list[int]:
    return [int(np.min(values)), int(np.median(values)), int(np.max(values))]


def _draw_samples(found: Report, data: Path, path: Path) -> None:
    from models.data.images import read_images
    from tasks.reports.image_grid import class_sheet

    images = read_images(data, "train")
    names = list(found.classes)
    shown = {}
    for number, name in enumerate(names[:_CLASSES_SHOWN]):
        shown[f"{name} ({sum(found.classes[name].values()):,})"] = images.pixels[
            np.flatnonzero(images.labels == number)[:SAMPLES]
        ]
    more = f"; {len(names) - len(shown)} more classes" if len(names) > len(shown) else ""
    class_sheet(shown, SAMPLES, path, f"{len(images):,} training pictures of {len(names)} classes{more}")
