"""Observe the outputs of a network's layers in execution order."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import mindspore

from ..protocol import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mindspore import nn

    from ..spec.train_spec import TrainSpec


@contextmanager
def on_layer_output(network: nn.Cell, callback: Callable[[str, nn.Cell, mindspore.Tensor], None]) -> Iterator[None]:
    """Call `callback` with name, layer and output after each leaf layer; only in PyNative mode.

    Args:
        network: the network to observe.
        callback: called with (name, layer, output).
    """

    def hook(name: str) -> Callable[[nn.Cell, object, mindspore.Tensor], None]:
        return lambda cell, _inputs, output: callback(name, cell, output)

    leaves = [(name, cell) for name, cell in network.cells_and_names() if name and not list(cell.cells())]
    hooks = [cell.register_forward_hook(hook(name)) for name, cell in leaves]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def choose_mode(spec: TrainSpec) -> None:
    """Set MindSpore's mode. Call it before a step is built: it determines how gradients are computed."""
    mindspore.set_context(mode=mindspore.PYNATIVE_MODE if spec.mode == "pynative" else mindspore.GRAPH_MODE)


@contextmanager
def print_shapes(spec: TrainSpec, network: nn.Cell) -> Iterator[None]:
    """In PyNative mode, print each layer's output shape in the first pass.

    Breakpoints and `print` in `construct` also work in this mode (docs/reference/tutorials.md T4).
    """
    if spec.mode != "pynative":
        yield
        return
    finished = False

    def print_shape(name: str, cell: nn.Cell, output: mindspore.Tensor) -> None:
        if not finished:
            log(f"{name} ({type(cell).__name__}): {list(output.shape)}")

    def end(_cell: nn.Cell, _inputs: object, _output: mindspore.Tensor) -> None:
        nonlocal finished
        finished = True

    whole = network.register_forward_hook(end)
    try:
        with on_layer_output(network, print_shape):
            yield
    finally:
        whole.remove()
