"""Layers that train with the project's own kernels instead of MindSpore's.

The results are equal up to rounding. Only the operators inside layers are replaced: names, parameters, and the network
that is evaluated and exported, do not change.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import mindspore
from mindspore import Tensor, nn, ops

from ..protocol import log
from ..training.runtime import device
from . import build as kernels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..spec.train_spec import TrainSpec

_FLOAT, _SAME = mindspore.float32, -1


def usable(spec: TrainSpec, ranks: int) -> bool:
    """Return True where the kernels apply: one process that trains in graph mode on a CPU."""
    return device() == "CPU" and ranks == 1 and spec.mode == "graph"


def install(network: nn.Cell) -> int:
    """Replace the operators of a network's layers by kernels; return the number of replaced ones, 0 without kernels.

    Layers of other types, and layers with other operators (pooling with explicit padding), do not change.

    Args:
        network: the network to change; afterwards it can be trained, but not exported.
    """
    library = kernels.library()
    if library is None:
        log(f"training with MindSpore's own kernels: {kernels.unavailable_reason()}")
        return 0
    try:
        kernels.start(library, len(os.sched_getaffinity(0)))
    except (OSError, RuntimeError) as error:
        log(f"training with MindSpore's own kernels: {error}")
        return 0
    replaced = 0
    for _, cell in list(network.cells_and_names()):
        for kind, attribute, primitive, build in _LAYERS:
            if type(cell) is kind and type(getattr(cell, attribute, None)) is primitive and _is_nchw(cell):
                operator = build(library, cell)
                delattr(cell, attribute)
                setattr(cell, attribute, operator)
                replaced += 1
    return replaced


def _operator(library: Path, name: str, shape: Callable[..., Any], *types: Any) -> ops.Custom:
    """Return a function of the library as an operator.

    Args:
        library: path of the compiled kernels.
        name: name of the function.
        shape: maps the shapes of the arguments to the shape or shapes of the results.
        types: types of the results; none for a single float32.
    """
    found = types if len(types) > 1 else (types or (_FLOAT,))[0]
    return ops.Custom(f"{library}:{name}", shape, lambda *_: found, "aot")


class Convolution(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """`ops.Conv2D` in oneDNN's own memory layouts."""

    def __init__(self, library: Path, layer: nn.Conv2d) -> None:
        super().__init__()
        size, stride, dilation = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.dilation)
        before, both = _padding(layer.pad_mode, layer.padding)
        self.geometry = Tensor([*stride, *dilation, *before, layer.group], mindspore.int32)

        def result(x: list[int], w: list[int], _geometry: list[int]) -> list[int]:
            reach = [(size[axis] - 1) * dilation[axis] + 1 for axis in (0, 1)]
            return [x[0], w[0], *(_results(x[2 + a], reach[a], stride[a], before[a], both[a]) for a in (0, 1))]

        self.forward = _operator(library, "convolution", result)
        self.to_source = _operator(library, "convolution_to_source", lambda _dy, _w, x, _g: x)
        self.to_weights = _operator(library, "convolution_to_weights", lambda _dy, w, _x, _g: w)

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        """Compute `ops.Conv2D`."""
        return self.forward(x, weight, self.geometry)

    def bprop(self, x: Tensor, weight: Tensor, _out: Tensor, dout: Tensor) -> tuple[Tensor, Tensor]:
        """Return both gradients; MindSpore skips an unused one, such as that of the images."""
        return self.to_source(dout, weight, x, self.geometry), self.to_weights(dout, weight, x, self.geometry)


class _Normalised(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Batch normalisation without the running statistics."""

    def __init__(self, library: Path, layer: nn.BatchNorm2d) -> None:
        super().__init__()
        self.epsilon = Tensor([layer.eps], _FLOAT)
        self.forward = _operator(library, "normalisation", lambda x, g, _b, _e: (x, g, g, g), *([_FLOAT] * 4))
        self.backward = _operator(
            library, "normalisation_gradient", lambda _dy, x, g, _m, _i: (x, g, g), *([_FLOAT] * 3)
        )

    def construct(self, x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        """Return result, mean, unbiased variance, and 1 / standard deviation."""
        found: tuple[Tensor, ...] = self.forward(x, gamma, beta, self.epsilon)
        return found

    def bprop(
        self, x: Tensor, gamma: Tensor, _beta: Tensor, out: tuple[Tensor, ...], dout: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Return the gradients of x, gamma and beta; the statistics have none."""
        found: tuple[Tensor, ...] = self.backward(dout[0], x, gamma, out[1], out[3])
        return found


class BatchNormalisation(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """`ops.BatchNorm` in training."""

    def __init__(self, library: Path, layer: nn.BatchNorm2d) -> None:
        super().__init__()
        self.normalised = _Normalised(library, layer)
        self.share = layer.momentum  # weight of the batch in the new running mean; nn.BatchNorm2d stores 1 - momentum

    def construct(
        self, x: Tensor, gamma: Tensor, beta: Tensor, mean: mindspore.Parameter, variance: mindspore.Parameter
    ) -> tuple[Tensor, ...]:
        """Compute `ops.BatchNorm`; only its first result is used."""
        y, batch_mean, batch_variance, _ = self.normalised(x, gamma, beta)
        y = ops.depend(y, ops.assign(mean, mean * (1.0 - self.share) + batch_mean * self.share))
        y = ops.depend(y, ops.assign(variance, variance * (1.0 - self.share) + batch_variance * self.share))
        return (y,)


class _Pooled(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Maxima and their positions."""

    def __init__(self, library: Path, layer: nn.MaxPool2d) -> None:
        super().__init__()
        size, stride = _pair(layer.kernel_size), _pair(layer.stride)
        before = both = (_SAME, _SAME) if layer.pad_mode.lower() == "same" else (0, 0)
        self.geometry = Tensor([*size, *stride, *before], mindspore.int32)

        def result(x: list[int], _geometry: list[int]) -> tuple[list[int], list[int]]:
            y = [x[0], x[1], *(_results(x[2 + a], size[a], stride[a], before[a], both[a]) for a in (0, 1))]
            return y, y

        self.forward = _operator(library, "max_pooling", result, _FLOAT, mindspore.int32)
        self.backward = _operator(library, "max_pooling_gradient", lambda _dy, _at, x: x)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maxima and their positions in the image plane."""
        found: tuple[Tensor, Tensor] = self.forward(x, self.geometry)
        return found

    def bprop(self, x: Tensor, out: tuple[Tensor, Tensor], dout: tuple[Tensor, Tensor]) -> tuple[Tensor]:
        """Return the gradient, placed at the maxima."""
        return (self.backward(dout[0], out[1], x),)


class MaxPooling(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """`ops.MaxPool`."""

    def __init__(self, library: Path, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.pooled = _Pooled(library, layer)

    def construct(self, x: Tensor) -> Tensor:
        """Compute `ops.MaxPool`."""
        return self.pooled(x)[0]


# Layer, attribute of its operator, the operator's type, and the replacement. The type is checked, because a layer may
# have another one: pooling with explicit padding uses MaxPool3DWithArgmax.
_LAYERS: tuple[tuple[type[nn.Cell], str, type[ops.Primitive], Callable[[Path, Any], nn.Cell]], ...] = (
    (nn.Conv2d, "conv2d", ops.Conv2D, Convolution),
    (nn.BatchNorm2d, "bn_train", ops.BatchNorm, BatchNormalisation),
    (nn.MaxPool2d, "max_pool", ops.MaxPool, MaxPooling),
)
REPLACED = frozenset(attribute for _, attribute, _, _ in _LAYERS)
"""Attributes of layers that hold a kernel in place of MindSpore's operator."""


def _is_nchw(layer: nn.Cell) -> bool:
    """Return True for NCHW, the only format that the kernels support."""
    return "NCHW" in (getattr(layer, "format", None), getattr(layer, "data_format", None))


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[-2], value[-1])


def _padding(mode: str, padding: int | tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before, and the total padding, of rows and columns."""
    if mode == "same":
        return (_SAME, _SAME), (_SAME, _SAME)
    if mode == "valid":
        return (0, 0), (0, 0)
    top, bottom, left, right = (padding,) * 4 if isinstance(padding, int) else padding
    return (top, left), (top + bottom, left + right)


def _results(size: int, reach: int, stride: int, before: int, both: int) -> int:
    """Return the number of results along an axis."""
    return -(-size // stride) if before == _SAME else (size + both - reach) // stride + 1
