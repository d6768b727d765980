"""Find the pictures of a source, their classes and their parts: class folders, a CSV table, or a manifest."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from infra.errors import UserError
from infra.names import is_safe_name
from tasks.dataset.values import Entry, Layout

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from pathlib import Path

    from infra.ports.values import LocalFile

    Files = Mapping[str, LocalFile]

CLASSES = "classes.txt"
LABELS = "labels.jsonl"
"""Where labelled pictures come from (`tasks/dataset/labels.py`)."""
MOST_CLASSES = 1000
# Pictures of `val` are training pictures where there is a `test` as well, which is then what is measured.
PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "eval", "testing": "eval", "eval": "eval",
}  # fmt: skip
_JUNK = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$|@eaDir/)", re.IGNORECASE)
_OTHER = re.compile(
    r"\.(txt|md|csv|tsv|json|jsonl|xml|ya?ml|html?|pdf|docx?|xlsx?|py|ipynb|log|manifest|npy|mat)$", re.I
)
_HINT = "put the pictures of each class into a folder with the name of the class"


def find(files: Files, table: str | None = None) -> Layout:
    """Find the pictures of a source.

    Args:
        files: all files, by their path inside the source.
        table: the name of the CSV table or manifest that lists the pictures; None to look for one.

    Raises:
        UserError: there are no pictures, fewer than two classes, more than 1,000, or a class name that cannot be used.
    """
    used = {name: file for name, file in sorted(files.items()) if not _JUNK.search(name)}
    table = table or _table(used)
    if table is None:
        layout = _class_folders(_without_wrapper(used))
    else:
        kind = "CSV table" if table.lower().endswith(".csv") else "ModelArts manifest"
        layout = Layout(kind, _listed(used, rows_of(read_text(used[table].path, table), table)), ())
    return Layout(layout.kind, _with_useful_parts(layout.entries), _ordered(layout, used), layout.others)


def _with_useful_parts(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Leave the parts out where there is only `train`, which does not say what is held out."""
    parts = {entry.part for entry in entries}
    if parts == {"eval"}:
        raise UserError("the source has no training pictures", hint="add a part train, or leave the parts out")
    return [replace(entry, part=None) for entry in entries] if parts == {"train"} else entries


def _table(files: Files) -> str | None:
    """A manifest or table at the top, where no folder has pictures of its own."""
    top = [name for name in files if "/" not in name and name.lower().endswith((".manifest", ".csv"))]
    inner = {name.partition("/")[0] for name in files if name.count("/") and not _OTHER.search(name)}
    return top[0] if len(top) == 1 and len(inner) < 2 else None


def _without_wrapper(files: Files) -> dict[str, LocalFile]:
    """Leave out a single folder around everything, as archives have."""
    found = dict(files)
    while True:
        pictures = [name for name in found if not _OTHER.search(name)]
        heads = {name.partition("/")[0] for name in pictures}
        head = next(iter(heads), "")
        deep = all(name.count("/") >= 2 for name in pictures)
        if len(heads) != 1 or not deep or head.lower() in PARTS:
            return found
        start = f"{head}/"
        found = {name.removeprefix(start): file for name, file in found.items()}


def _class_folders(files: Files) -> Layout:
    tops = {name.partition("/")[0].lower() for name in files if "/" in name}
    split = bool(tops) and tops <= set(PARTS)
    both = {PARTS[top] for top in tops} >= {"val", "eval"} if split else False
    entries, others = [], []
    for name, file in files.items():
        first, _, rest = name.partition("/")
        part = PARTS[first.lower()] if split and rest else None
        label, inner, _ = (rest if split else name).partition("/")
        if not inner or _OTHER.search(name):
            others.append(name)
        else:
            entries.append(Entry(name, file.path, file.sha256, label, _part(part, both)))
    if not entries:
        raise UserError("the source has no class folders with pictures", hint=_HINT)
    others = [name for name in others if PurePosixPath(name).name not in (CLASSES, LABELS)]
    return Layout("class folders with parts" if split else "class folders", entries, (), others)


def _part(named: str | None, both: bool) -> str | None:
    if named != "val":
        return named
    return "train" if both else "eval"


def rows_of(text: str, table: str) -> list[tuple[str, str, str]]:
    """Read the rows of a CSV table or a manifest: source, class name and part of each labelled picture.

    Args:
        text: its content.
        table: its name, whose suffix tells the form.

    Raises:
        UserError: a row is malformed, or no picture has a label.
    """
    rows = _csv(text, table) if table.lower().endswith(".csv") else _manifest(text, table)
    if not rows:
        raise UserError(f"{table} lists no labelled picture")
    return rows


def _csv(text: str, table: str) -> list[tuple[str, str, str]]:
    """Read `path,label` rows, with or without a header and a third column with the part."""
    rows = list(csv.reader(io.StringIO(text)))
    if rows and rows[0] and rows[0][0].strip().lower() in ("path", "file", "filename", "image", "image_path", "source"):
        rows = rows[1:]
    listed = []
    for number, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < 2 or not row[1].strip():
            raise UserError(f"{table}: row {number} is not path,label: {','.join(row)[:80]!a}")
        listed.append((row[0].strip(), row[1].strip(), row[2].strip().lower() if len(row) > 2 else ""))
    return listed


def _manifest(text: str, table: str) -> list[tuple[str, str, str]]:
    """Read ModelArts' image classification manifest: JSON lines with `source`, `annotation` and perhaps `usage`."""
    listed = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            labels = [
                str(note["name"])
                for note in said["annotation"]
                if str(note.get("type", "modelarts/image_classification")).endswith("image_classification")
            ]
            source, usage = str(said["source"]), str(said.get("usage", "")).lower()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{table}: line {number} is not an entry of a manifest: {type(error).__name__}") from error
        if len(set(labels)) > 1:
            raise UserError(f"{table}: line {number} has several classes: {', '.join(labels)[:80]}", hint="keep one")
        if labels:  # a picture without an annotation is not labelled yet
            listed.append((source, labels[0], usage))
    return listed


def _listed(files: Files, rows: Sequence[tuple[str, str, str]]) -> list[Entry]:
    """Look up the pictures of a list; addresses of a bucket are matched by the end of their path."""
    both = {PARTS.get(part) for _, _, part in rows} >= {"val", "eval"}
    known = all(part in PARTS for _, _, part in rows)
    entries = []
    for source, label, part in rows:
        name = inside(files, source)
        file = files.get(name)
        given = _part(PARTS[part], both) if known else None
        if file is None:
            entries.append(Entry(source, None, "", label, given))
        else:
            entries.append(Entry(name, file.path, file.sha256, label, given))
    return entries


def inside(files: Container[str], source: str) -> str:
    """Return the file that a row of a table means; its path as given when there is no such file.

    Args:
        files: paths inside the source.
        source: a path, or an address whose end is the path.
    """
    path = re.sub(r"^(obs|s3|file)://", "", source.replace("\\", "/")).removeprefix("./")
    parts = path.strip("/").split("/")
    return next(("/".join(parts[start:]) for start in range(len(parts)) if "/".join(parts[start:]) in files), path)


def read_text(path: Path, name: str) -> str:
    """Read a table of the user.

    Raises:
        UserError: it is not UTF-8; names `name`.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8: {error}", hint="save it as UTF-8") from error


def _ordered(layout: Layout, files: Files) -> Sequence[str]:
    """Order the class names: as `classes.txt` says, else numbers by value before texts."""
    found = {entry.label for entry in layout.entries}
    for name in found:
        check_class_name(name)
    lists = [name for name in files if PurePosixPath(name).name == CLASSES and name.count("/") < 2]
    if lists:
        names = [line.strip() for line in read_text(files[lists[0]].path, lists[0]).splitlines() if line.strip()]
        unknown = sorted(found - set(names))
        if unknown:
            raise UserError(
                f"{lists[0]} lacks the class {unknown[0]!r}, which has pictures", hint="add it, or leave it out"
            )
        if len(names) != len(set(names)):
            raise UserError(f"{lists[0]} names a class twice")
    else:
        names = sorted(found, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(f"the source has {len(names)} classes; 2 to {MOST_CLASSES:,} can be learned", hint=_HINT)
    return names


def check_class_name(name: str) -> None:
    """Check that a class name is printable and valid as a file name, for pictures and tables.

    Raises:
        UserError: it is not.
    """
    if not is_safe_name(name) or "/" in name or name.startswith(".") or name != name.strip():
        raise UserError(f"the class name {name[:80]!a} cannot be used", hint="use letters, digits and spaces")
