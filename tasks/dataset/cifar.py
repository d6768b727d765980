"""CIFAR-100's binary version, and CIFAR-10 and CIFAR-100 in their Python version.

Source: A. Krizhevsky's page of the data sets; docs/reference/cifar10.md §7.4 for the planes of an image. CIFAR-10 keeps
the form of its records, so that both of its versions give the same data set.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.errors import Corrupt
from models.data.records import RECORD_BYTES, SIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.ports.values import LocalFile

_VALUES = 3 * SIDE * SIDE
_HINT = "fetch the archive again"
# What an array of numpy is pickled with, by Python 2 and 3 and by old and new versions of numpy.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
_BATCHES = {**{f"data_batch_{number}": "train" for number in range(1, 6)}, "test_batch": "eval"}


@dataclass(frozen=True)
class Arrays:
    """A data set in memory.

    Attributes:
        kind: of the source, for people.
        names: of the classes.
        parts: pixels, uint8 [n, 32, 32, 3], RGB, and labels, int32 [n], by part.
        batches: CIFAR-10's records by file name; empty for other data sets.
    """

    kind: str
    names: Sequence[str]
    parts: Mapping[str, tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int32]]]]
    batches: Mapping[str, bytes]


def is_cifar(names: Sequence[str]) -> bool:
    """Tell whether files with these names are one of the versions that this module reads."""
    found = {PurePosixPath(name).name for name in names}
    hundred = {"train", "test", "meta"} <= found or {"train.bin", "test.bin", "fine_label_names.txt"} <= found
    return hundred or {*_BATCHES, "batches.meta"} <= found


def read(files: Mapping[str, LocalFile], labels: str) -> Arrays:
    """Read the files of an archive.

    Args:
        files: by name; other files are ignored.
        labels: `fine` or `coarse`, for CIFAR-100.

    Raises:
        Corrupt: a file is damaged, or holds something else.
    """
    paths = {PurePosixPath(name).name: file.path for name, file in files.items()}
    if "batches.meta" in paths:
        return _ten(paths)
    return _hundred_binary(paths, labels) if "train.bin" in paths else _hundred_python(paths, labels)


def unpickle(content: bytes) -> object:
    """Read a pickle that may hold nothing but arrays, containers, numbers and texts.

    Raises:
        Corrupt: it is damaged, or names anything else.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Corrupt:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise Corrupt(f"the pickle is damaged: {type(error).__name__}: {error}", hint=_HINT) from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise Corrupt(f"the pickle names {module}.{name}, which is no array", hint="do not use this file")
        return super().find_class(module, name)

    def persistent_load(self, _pid: object) -> Any:
        raise Corrupt("the pickle refers to something outside", hint="do not use this file")


def _ten(paths: Mapping[str, Path]) -> Arrays:
    batches = {}
    for name in _BATCHES:
        found = _dictionary(paths[name])
        pixels, labels = _pixels(found, paths[name]), _labels(found, b"labels", 10, paths[name])
        records = np.concatenate([labels[:, None].astype(np.uint8), pixels], axis=1)
        batches[f"{name}.bin"] = records.tobytes()
    return Arrays("CIFAR-10, Python version", _names(paths["batches.meta"], b"label_names"), {}, batches)


def _hundred_python(paths: Mapping[str, Path], labels: str) -> Arrays:
    parts = {}
    for name, part in (("train", "train"), ("test", "eval")):
        found = _dictionary(paths[name])
        count = 100 if labels == "fine" else 20
        numbers = _labels(found, f"{labels}_labels".encode(), count, paths[name])
        parts[part] = (_rgb(_pixels(found, paths[name])), numbers)
    return Arrays("CIFAR-100, Python version", _names(paths["meta"], f"{labels}_label_names".encode()), parts, {})


def _hundred_binary(paths: Mapping[str, Path], labels: str) -> Arrays:
    parts = {}
    for name, part in (("train.bin", "train"), ("test.bin", "eval")):
        content = np.fromfile(paths[name], np.uint8)
        if not content.size or content.size % (RECORD_BYTES + 1):
            raise Corrupt(f"{name} is not a whole number of records of {RECORD_BYTES + 1:,} bytes", hint=_HINT)
        records = content.reshape(-1, RECORD_BYTES + 1)
        numbers = records[:, 1 if labels == "fine" else 0].astype(np.int32)
        parts[part] = (_rgb(records[:, 2:]), numbers)
    text = paths[f"{labels}_label_names.txt"].read_text(encoding="utf-8")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if any(numbers.max() >= len(names) for _, numbers in parts.values()):
        raise Corrupt(f"a label is beyond the {len(names)} classes", hint=_HINT)
    return Arrays("CIFAR-100, binary version", names, parts, {})


def _dictionary(path: Path) -> Mapping[Any, Any]:
    found = unpickle(path.read_bytes())
    if not isinstance(found, dict):
        raise Corrupt(f"{path.name} holds no dictionary", hint=_HINT)
    return found


def _pixels(found: Mapping[Any, Any], path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = found.get(b"data", found.get("data"))
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _VALUES:
        raise Corrupt(f"{path.name} has no images of 32 pixels", hint=_HINT)
    return data


def _labels(found: Mapping[Any, Any], key: bytes, classes: int, path: Path) -> np.ndarray[Any, np.dtype[np.int32]]:
    values = found.get(key, found.get(key.decode()))
    whole = isinstance(values, list) and all(isinstance(value, int) and 0 <= value < classes for value in values)
    if not whole or values is None or len(values) != len(_pixels(found, path)):
        raise Corrupt(f"{path.name} has no {key.decode()} from 0 to {classes - 1} for its images", hint=_HINT)
    return np.asarray(values, np.int32)


def _names(path: Path, key: bytes) -> list[str]:
    found = _dictionary(path)
    values = found.get(key, found.get(key.decode()))
    if not isinstance(values, list) or not all(isinstance(value, (str, bytes)) for value in values):
        raise Corrupt(f"{path.name} has no {key.decode()}", hint=_HINT)
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def _rgb(planes: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ascontiguousarray(planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
