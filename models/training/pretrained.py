"""Start from somebody's checkpoint: take what fits, leave the rest as initialised, and say what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mindspore
from mindspore import nn

from ..failures import InputError
from ..protocol import say
from .checkpoint import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def adopt(
    network: nn.Cell, path: Path, known_as: Callable[[str], str], *, new_head: bool = False
) -> dict[str, list[str]]:
    """Set those parameters of a network that the checkpoint has in the same shape.

    A head for other classes has another shape, so it keeps its fresh values; it may be missing, too. Anything else must
    be there: a checkpoint whose names are not understood would only seem to be a good start.

    Args:
        network: is changed.
        path: `.ckpt` or `.safetensors`.
        known_as: our name of a parameter, from its name in the file.
        new_head: leave the head out of it, although it would fit.

    Returns:
        Parameters that `matched`, have an `other_shape`, are `missing` in the file or `left_out`; `unused` names of it.

    Raises:
        InputError: nothing fits, or a parameter that is not the head's is missing.
        Damage: the file cannot be read.
    """
    values = {known_as(name): (name, value) for name, value in read(path).items()}
    kinds = ("matched", "other_shape", "missing", "left_out", "unused")
    report: dict[str, list[str]] = {kind: [] for kind in kinds}
    head = f"{_head(network)}."
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
        parameter.set_data(mindspore.Tensor(value.astype(parameter.asnumpy().dtype, copy=False)))
        report["matched"].append(parameter.name)
    report["unused"] = sorted(name for name, _ in values.values())
    if not report["matched"]:
        raise InputError(f"nothing in {path} fits the network", "it belongs to another network")
    lost = [name for name in report["missing"] if not name.startswith(head)]
    if lost:
        raise InputError(
            f"{path} has nothing for {len(lost)} parameters of the network: {_some(lost)}",
            f"it belongs to another network, or calls them otherwise; not used: {_some(report['unused'])}",
        )
    say(", ".join(f"{len(names)} {kind.replace('_', ' ')}" for kind, names in report.items()) + f" in {path.name}")
    return report


def _head(network: nn.Cell) -> str:
    """The name of the last dense layer, which gives the logits."""
    return [str(name) for name, cell in network.cells_and_names() if isinstance(cell, nn.Dense)][-1]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") if names else "nothing"
