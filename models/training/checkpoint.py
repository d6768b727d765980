"""Parameters as arrays: checkpoint files and digests."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import mindspore
import numpy as np
from safetensors import SafetensorError

from ..failures import Damage, InputError
from ..files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mindspore import nn
    from numpy.typing import NDArray


def arrays(parameters: Iterable[mindspore.Parameter]) -> dict[str, NDArray[Any]]:
    """Return copies of the parameters' values by name."""
    return {parameter.name: parameter.asnumpy().copy() for parameter in parameters}


def digest(values: Mapping[str, NDArray[Any]]) -> str:
    """Return SHA-256 over names, types, shapes and little-endian values, sorted by name."""
    total = hashlib.sha256()
    for name in sorted(values):
        array = np.ascontiguousarray(values[name])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        total.update(json.dumps([name, little.dtype.str, list(array.shape)]).encode())
        total.update(little.tobytes())
    return total.hexdigest()


def save_checkpoint(path: Path, values: Mapping[str, NDArray[Any]]) -> None:
    """Write a MindSpore checkpoint; equal values give equal bytes."""
    listed = [{"name": name, "data": mindspore.Tensor(values[name])} for name in values]
    with replacing(path) as temporary:
        mindspore.save_checkpoint(listed, str(temporary))


def load_checkpoint(path: Path, network: nn.Cell) -> None:
    """Load a checkpoint into a network; every parameter must exist with its shape.

    Raises:
        InputError: the file does not exist, or belongs to another network.
        Damage: the file cannot be read.
    """
    assign(network.get_parameters(), read(path), path)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a `.ckpt` or `.safetensors` file by name.

    Raises:
        InputError: the file does not exist.
        Damage: the file cannot be read.
    """
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist", "train first, or name another file")
    style = "safetensors" if path.suffix == ".safetensors" else "ckpt"
    try:
        values = mindspore.load_checkpoint(str(path), format=style)
    except (ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise Damage(
            f"{path} cannot be read as a checkpoint: {_first_line(error)}", "create or fetch it again"
        ) from error
    return {name: value.asnumpy() for name, value in values.items()}


def assign(parameters: Iterable[mindspore.Parameter], values: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Set parameters from arrays.

    Raises:
        InputError: a parameter is missing or has another shape.
    """
    for parameter in parameters:
        value = values.get(parameter.name)
        if value is None or value.shape != tuple(parameter.shape):
            found = "nothing" if value is None else f"shape {list(value.shape)}"
            raise InputError(
                f"{path} has {found} for {parameter.name}, which needs shape {list(parameter.shape)}",
                "the file belongs to another network: use the specification of its training",
            )
        parameter.set_data(mindspore.Tensor(value.astype(parameter.asnumpy().dtype, copy=False)))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
