"""The state after an epoch, from which an interrupted training resumes with the same result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import LOCK, replacing
from ..protocol import log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec
    from .history import Row

_ABOUT = "__about__"  # no parameter has this name


def identity(spec: TrainSpec, *data: str) -> str:
    """Return the identity of a training: the digest of its specification and its data's digests."""
    values = json.dumps(dataclasses.asdict(spec), sort_keys=True)
    return hashlib.sha256("\n".join([values, *data]).encode()).hexdigest()


def save(folder: Path, name: str, values: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> None:
    """Write the state of training `name` after the last of `rows`."""
    about = np.frombuffer(json.dumps({"identity": name, "rows": list(rows)}).encode(), np.uint8)
    with replacing(_path(folder)) as temporary, temporary.open("wb") as file:
        np.savez(file, **{_ABOUT: about, **values})


def load(folder: Path, name: str) -> tuple[dict[str, NDArray[Any]], list[Row]] | None:
    """Read the last state of training `name`; None if it is missing, damaged or of another training."""
    path = _path(folder)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            values = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        log(f"{path} is damaged ({error}); training starts again")
        return None
    about = json.loads(values.pop(_ABOUT).tobytes())
    if about["identity"] != name:
        log(f"{path} belongs to another training; training starts again")
        return None
    return values, about["rows"]


def copy_state(earlier: Path, folder: Path) -> None:
    """Copy an earlier run's results, the state last, unless `folder` has a state already."""
    if _path(folder).exists() or not _path(earlier).is_file():
        return
    excluded = (_path(earlier), earlier / LOCK)
    files = [path for path in sorted(earlier.rglob("*")) if path.is_file() and path not in excluded]
    for path in [*files, _path(earlier)]:
        with replacing(folder / path.relative_to(earlier)) as temporary:
            shutil.copyfile(path, temporary)


def _path(folder: Path) -> Path:
    return folder / "state" / "last.npz"
