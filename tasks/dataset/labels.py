"""Pictures that boards kept as unsure: wait for a label, then join the data set with their provenance."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from infra.errors import Corrupt, UserError
from infra.store.atomic import replacing, write_text
from tasks.dataset.layouts import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COLLECTED = "collected"
_SKIPPED, _LABELLED = ".skipped", ".labelled"  # no board has such a name


@dataclass(frozen=True)
class CollectedPicture:
    """A picture from a board that has no label yet.

    Attributes:
        path: of its file.
        board: that kept it.
        margin: how far the best class was ahead of the second, 0 to 1.
        kept: when, in seconds since 1970, by the board's clock.
        digest: the first 16 digits of its SHA-256.
    """

    path: Path
    board: str
    margin: float
    kept: float
    digest: str


@dataclass(frozen=True)
class Label:
    """A line of `labels.jsonl` in a data set: where one of its pictures comes from.

    Attributes:
        file: path of the picture in the data set.
        name: of its class.
        board: that kept it.
        margin: how far the best class was ahead of the second, 0 to 1.
        kept: when the board kept it, in seconds since 1970.
        labelled: when a person labelled it, likewise.
    """

    file: str
    name: str
    board: str
    margin: float
    kept: float
    labelled: float


def folder_of(home: Path, board: str) -> Path:
    """Return where the pictures of a board wait for labels."""
    return home / COLLECTED / board


def collected(home: Path) -> list[CollectedPicture]:
    """List the pictures without labels, the least sure first."""
    return sorted(_collected(home), key=lambda picture: (picture.margin, picture.digest))


def _collected(home: Path) -> Iterator[CollectedPicture]:
    for path in (home / COLLECTED).glob("*/*-*-*.*"):
        margin, kept, digest = path.stem.split("-")
        if path.parent.name not in (_SKIPPED, _LABELLED):
            yield CollectedPicture(path, path.parent.name, float(margin), float(kept), digest)


def labels(source: Path) -> list[Label]:
    """Read the labels that joined a data set.

    Raises:
        Corrupt: the file is damaged.
    """
    path = source / LABELS
    try:
        return [Label(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{path} is damaged: {error}", hint="repair it, or move it away") from error


def labels_since(source: Path | None, when: float) -> int:
    """Count the pictures that were labelled after a time, in seconds since 1970; None is no folder, and has none."""
    return 0 if source is None else sum(item.labelled > when for item in labels(source))


class LabelQueue:
    """Labels collected pictures, one after the other, with undo.

    Args:
        home: whose boards' pictures wait.
        source: the folder of class folders that labelled pictures join.
        names: the class names.

    Raises:
        UserError: `source` has no such class folders.
    """

    def __init__(self, home: Path, source: Path, names: Sequence[str]) -> None:
        self.names = names
        self._home = home
        self._source = source
        self._classes = source / "train" if (source / "train").is_dir() else source
        self._done: list[tuple[CollectedPicture, Path, Path | None]] = []
        if not all((self._classes / name).is_dir() for name in names):
            raise UserError(
                f"{source} is no folder of class folders, so labelled pictures cannot join it",
                hint="set data.source to such a folder; `atlasflow new` makes a project of one",
            )

    def waiting(self) -> list[CollectedPicture]:
        """List the pictures without labels, the least sure first."""
        return collected(self._home)

    def label(self, picture: CollectedPicture, name: str) -> None:
        """Let a picture join a class; the data set is a new version from then on."""
        target = self._classes / name / f"labelled-{picture.digest}{picture.path.suffix}"
        for other in self.names:  # of a label that was interrupted
            (self._classes / other / target.name).unlink(missing_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(picture.path, temporary)
        file = target.relative_to(self._source).as_posix()
        known = [item for item in labels(self._source) if item.file.rpartition("/")[2] != target.name]
        self._write([*known, Label(file, name, picture.board, picture.margin, picture.kept, time.time())])
        self._done.append((picture, self._move(picture, _LABELLED), target))

    def skip(self, picture: CollectedPicture) -> None:
        """Leave a picture unlabelled."""
        self._done.append((picture, self._move(picture, _SKIPPED), None))

    def undo(self) -> bool:
        """Take the last label or skip of this queue back; returns False when there is none."""
        if not self._done:
            return False
        picture, moved, target = self._done.pop()
        if target is not None:
            target.unlink(missing_ok=True)
            file = target.relative_to(self._source).as_posix()
            self._write([item for item in labels(self._source) if item.file != file])
        moved.rename(picture.path)
        return True

    def _move(self, picture: CollectedPicture, place: str) -> Path:
        moved = folder_of(self._home, place) / picture.path.name
        moved.parent.mkdir(parents=True, exist_ok=True)
        picture.path.rename(moved)
        return moved

    def _write(self, items: Sequence[Label]) -> None:
        write_text(self._source / LABELS, "".join(json.dumps(asdict(item)) + "\n" for item in items))
