"""Watching a network while it runs: what comes out of each layer, in the order in which images pass."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import mindspore

from ..protocol import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mindspore import nn

    from ..spec.train_spec import TrainSpec


@contextmanager
def watching(network: nn.Cell, seen: Callable[[str, nn.Cell, mindspore.Tensor], None]) -> Iterator[None]:
    """Tell `seen` name, layer and output whenever a layer without layers inside has run; only PyNative mode calls it.

    Args:
        network: whose layers are watched.
        seen: is told.
    """

    def hook(name: str) -> Callable[[nn.Cell, object, mindspore.Tensor], None]:
        return lambda cell, _inputs, output: seen(name, cell, output)

    leaves = [(name, cell) for name, cell in network.cells_and_names() if name and not list(cell.cells())]
    hooks = [cell.register_forward_hook(hook(name)) for name, cell in leaves]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def choose_mode(spec: TrainSpec) -> None:
    """Set MindSpore's mode for this process; before a step is built, as it decides how its gradients are computed."""
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE if spec.mode == "pynative" else mindspore.GRAPH_MODE)


@contextmanager
def stepping(spec: TrainSpec, network: nn.Cell) -> Iterator[None]:
    """In PyNative mode, print each layer's output shape in the first pass.

    Breakpoints and `print` in a network's `construct` work as in any Python then (docs/reference/tutorials.md T4).
    """
    if spec.mode != "pynative":
        yield
        return
    over = False

    def tell(name: str, cell: nn.Cell, output: mindspore.Tensor) -> None:
        if not over:
            say(f"{name} ({type(cell).__name__}): {list(output.shape)}")

    def end(_cell: nn.Cell, _inputs: object, _output: mindspore.Tensor) -> None:
        nonlocal over
        over = True

    whole = network.register_forward_hook(end)
    try:
        with watching(network, tell):
            yield
    finally:
        whole.remove()
