"""Start from another checkpoint: load the parameters that fit, keep the others at their initial values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mindspore
from mindspore import nn

from ..failures import InputError
from ..protocol import log
from .weights import check_finite, read, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def load_pretrained(
    network: nn.Cell, path: Path, native_name: Callable[[str], str], *, new_head: bool = False
) -> dict[str, list[str]]:
    """Load the parameters that the checkpoint has with the same shape.

    The head may be missing or have another shape, for other classes; it then keeps its initial values. Every other
    parameter must exist, so that a checkpoint with unknown parameter names is refused.

    Args:
        network: the network to change.
        path: a file that `weights.read` reads.
        native_name: maps a parameter name of the file to the name in the network.
        new_head: do not load the head.

    Returns:
        Names of parameters that `matched`, have an `other_shape`, are `missing` in the file or `left_out`, and names of
        the file that are `unused`.

    Raises:
        InputError: no parameter fits, one outside the head is missing, or has NaN or infinite values.
        Damage: the file cannot be read.
    """
    values = _named(network, path, native_name)
    kinds = ("matched", "other_shape", "missing", "left_out", "unused")
    report: dict[str, list[str]] = {kind: [] for kind in kinds}
    head = f"{head_name(network)}."
    for parameter in network.get_parameters():
        if new_head and parameter.name.startswith(head):
            report["left_out"].append(parameter.name)
            values.pop(parameter.name, None)
            continue
        if parameter.name not in values:
            report["missing"].append(parameter.name)
            continue
        _, value = values.pop(parameter.name)
        if value.shape != tuple(parameter.shape):
            report["other_shape"].append(parameter.name)
            continue
        check_finite({parameter.name: value}, path)
        parameter.set_data(mindspore.Tensor(value.astype(parameter.asnumpy().dtype, copy=False)))
        report["matched"].append(parameter.name)
    report["unused"] = sorted(name for name, _ in values.values())
    if not report["matched"]:
        raise InputError(f"no parameter in {path} fits the network", "it belongs to another network")
    absent = [name for name in report["missing"] if not name.startswith(head)]
    if absent:
        raise InputError(
            f"{path} lacks {len(absent)} parameters of the network: {_some(absent)}",
            f"it belongs to another network, or uses other names; not used: {_some(report['unused'])}",
        )
    log(", ".join(f"{len(names)} {kind.replace('_', ' ')}" for kind, names in report.items()) + f" in {path.name}")
    return report


def _named(network: nn.Cell, path: Path, native_name: Callable[[str], str]) -> dict[str, tuple[str, NDArray[Any]]]:
    """Return the file's names and values by the network's names; of a wrapped network's, without its prefix."""
    own = {parameter.name for parameter in network.get_parameters()}
    readings = [
        {native_name(name): (name, value) for name, value in reading.items()} for reading in unwrapped(read(path))
    ]
    return max(readings, key=lambda names: len(own & names.keys()))


def head_name(network: nn.Cell) -> str:
    """Return the name of the last dense layer, which computes the logits.

    Raises:
        InputError: the network has none.
    """
    names = [str(name) for name, cell in network.cells_and_names() if isinstance(cell, nn.Dense)]
    if not names:
        raise InputError("the network has no dense layer, so its head is not known", "end it with an nn.Dense")
    return names[-1]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") if names else "none"
