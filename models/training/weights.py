"""Read parameters from what programs keep them in: MindSpore, safetensors, PyTorch, ONNX; by content and suffix."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..failures import Damage, InputError, Refusal
from . import torch_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

# What programs put in front of every name: MindSpore's training cells, PyTorch's wrappers, keys of nested dictionaries.
_WRAPPERS = (
    "network", "module", "model", "net", "backbone", "_backbone", "_orig_mod", "state_dict", "model_state_dict",
    "params", "teacher", "student", "train_network",
)  # fmt: skip


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the parameters of a file by name.

    Args:
        path: `.ckpt`, `.safetensors`, `.pth`, `.pt`, `.bin` or `.onnx`, in capital letters, too.

    Raises:
        InputError: the file does not exist, or holds something else than parameters, or some are NaN or infinite.
        Damage: the file cannot be read.
        Refusal: an ONNX file where the package `onnx` is not installed.
    """
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist", "train first, or name another file")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return _read_onnx(path)
    if torch_file.is_torch(path):
        return torch_file.read(path)
    return _read_under_suffix(path, suffix)


def check_finite(values: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Check that no parameter has NaN or infinite values.

    Raises:
        InputError: names the first parameter that has.
    """
    damaged = [name for name, value in values.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if damaged:
        count = int((~np.isfinite(values[damaged[0]])).sum())
        more = f", and {len(damaged) - 1} other parameters have some" if len(damaged) > 1 else ""
        raise InputError(
            f"{path}: parameter {damaged[0]} has {count} NaN or infinite values{more}",
            "its training diverged: take an earlier checkpoint",
        )


def _read_under_suffix(path: Path, suffix: str) -> dict[str, NDArray[Any]]:
    """MindSpore accepts small letters only."""
    from . import checkpoint  # noqa: PLC0415 - imports MindSpore

    if suffix == path.suffix and suffix in (".ckpt", ".safetensors"):
        return checkpoint.read(path)
    style = ".safetensors" if suffix == ".safetensors" else ".ckpt"
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, f"{path.stem}{style}")
        link.symlink_to(path.resolve())
        try:
            return checkpoint.read(link)
        except Damage as damage:
            raise Damage(damage.message.replace(str(link), str(path)), damage.hint) from damage


def _read_onnx(path: Path) -> dict[str, NDArray[Any]]:
    """The initialisers of an ONNX file."""
    try:
        import onnx  # noqa: PLC0415 - not everywhere where a network is trained
    except ImportError as error:
        raise Refusal(f"{path} is an ONNX file, and the package onnx is not installed", "use a checkpoint") from error
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        model = onnx.load(path)
        return {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise Damage(f"{path} cannot be read as an ONNX file: {error}", "create or fetch it again") from error


def unwrapped(values: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the parameters as they are, then without the prefix that a wrapper has put before most names, and so on.

    The prefix `network.` of MindSpore's training cells, and `module.` of PyTorch's, are such.
    """
    found = dict(values)
    yield found
    while True:
        firsts = Counter(name.partition(".")[0] for name in found if "." in name)
        first = max((name for name in firsts if name in _WRAPPERS), key=lambda name: firsts[name], default="")
        if not first:
            return
        others = {name: value for name, value in found.items() if not name.startswith(f"{first}.")}
        stripped = {
            name.removeprefix(f"{first}."): value for name, value in found.items() if name.startswith(f"{first}.")
        }
        found = {**others, **stripped}
        yield found
