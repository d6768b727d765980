"""Layers that train with the project's own kernels instead of MindSpore's.

The results are equal up to rounding. Only the operators inside layers are replaced: names, parameters, and the network
that is evaluated and exported, do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mindspore
from mindspore import Tensor, nn, ops

from ..failures import Refusal
from ..protocol import log
from ..training.runtime import device
from . import build as kernels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..spec.train_spec import TrainSpec

_FLOAT, _SAME, _COLOURS = mindspore.float32, -1, 3


@dataclass(frozen=True)
class Form:
    """How the tensors between the kernels of a network are stored, and how convolutions compute.

    Attributes:
        channels_last: the channels of a pixel are side by side, although MindSpore believes in NCHW. A network whose
            class has `channels_last = True` promises that its tensors of more than one pixel go from kernel to kernel
            or through operators of single elements only; its images are NCHW, its last pooling leaves one pixel.
        bfloat16: the factors of a convolution are rounded to bfloat16; sums, results and parameters are float32.
    """

    channels_last: bool = False
    bfloat16: bool = False


def usable(spec: TrainSpec, ranks: int) -> bool:
    """Return True where the kernels apply: one process that trains in graph mode on a CPU."""
    return device() == "CPU" and ranks == 1 and spec.mode == "graph"


def install(network: nn.Cell, precision: str = "float32") -> int:
    """Replace the operators of a network's layers by kernels; return the number of replaced ones, 0 without kernels.

    Layers of other types, and layers with other operators (pooling with explicit padding), do not change.

    Args:
        network: the network to change; afterwards it can be trained, but not exported.
        precision: `float32`, or `bfloat16` for the factors of convolutions.
    """
    library = kernels.library()
    if library is None:
        log(f"training with MindSpore's own kernels: {kernels.unavailable_reason()}")
        return 0
    try:
        kernels.start(library, kernels.cores())
    except (OSError, RuntimeError) as error:
        log(f"training with MindSpore's own kernels: {error}")
        return 0
    form = Form(getattr(network, "channels_last", False), precision == "bfloat16")
    replaced = 0
    for _, cell in list(network.cells_and_names()):
        if getattr(cell, "kernel", "") == "swish":
            cell.function = Swish(library)
            replaced += 1
        for kind, attribute, primitive, build in _LAYERS:
            if type(cell) is kind and type(getattr(cell, attribute, None)) is primitive and _is_nchw(cell):
                operator = build(library, cell, form)
                delattr(cell, attribute)
                setattr(cell, attribute, operator)
                replaced += 1
    return replaced


def check_bfloat16(installed: bool) -> None:
    """Check that convolutions in bfloat16 are possible here.

    Args:
        installed: True when a network has the kernels.

    Raises:
        Refusal: they are not; says why.
    """
    if not installed:
        reason = kernels.unavailable_reason() or "the training has several processes, or is not in graph mode on a CPU"
        problem = f"it needs the compiled kernels: {reason}"
    elif not kernels.processor_has("avx512_bf16", "amx_bf16"):
        problem = "this processor has neither avx512_bf16 nor amx_bf16"
    else:
        return
    raise Refusal(f"precision: no bfloat16 here, as {problem}", "set precision=float32")


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

    def __init__(self, library: Path, layer: nn.Conv2d, form: Form) -> None:
        super().__init__()
        size, stride, dilation = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.dilation)
        before, both = _padding(layer.pad_mode, layer.padding)
        first = layer.in_channels == _COLOURS  # its source is the image
        how = (form.channels_last and not first, form.channels_last, form.bfloat16)
        self.geometry = Tensor([*stride, *dilation, *before, layer.group, *map(int, how)], mindspore.int32)

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

    def __init__(self, library: Path, layer: nn.BatchNorm2d, form: Form) -> None:
        super().__init__()
        self.epsilon = Tensor([layer.eps], _FLOAT)
        name = "normalisation_last" if form.channels_last else "normalisation"
        self.forward = _operator(library, name, lambda x, g, _b, _e: (x, g, g, g), *([_FLOAT] * 4))
        self.backward = _operator(library, f"{name}_gradient", lambda _dy, x, g, _m, _i: (x, g, g), *([_FLOAT] * 3))

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

    def __init__(self, library: Path, layer: nn.BatchNorm2d, form: Form) -> None:
        super().__init__()
        self.normalised = _Normalised(library, layer, form)
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

    def __init__(self, library: Path, layer: nn.MaxPool2d, form: Form) -> None:
        super().__init__()
        size, stride = _pair(layer.kernel_size), _pair(layer.stride)
        before = both = (_SAME, _SAME) if layer.pad_mode.lower() == "same" else (0, 0)
        self.geometry = Tensor([*size, *stride, *before, int(form.channels_last)], mindspore.int32)

        def result(x: list[int], _geometry: list[int]) -> tuple[list[int], list[int]]:
            y = [x[0], x[1], *(_results(x[2 + a], size[a], stride[a], before[a], both[a]) for a in (0, 1))]
            return y, y

        self.forward = _operator(library, "max_pooling", result, _FLOAT, mindspore.int32)
        self.backward = _operator(library, "max_pooling_gradient", lambda _dy, _at, x, _g: x)

    def construct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maxima and their positions in the image plane."""
        found: tuple[Tensor, Tensor] = self.forward(x, self.geometry)
        return found

    def bprop(self, x: Tensor, out: tuple[Tensor, Tensor], dout: tuple[Tensor, Tensor]) -> tuple[Tensor]:
        """Return the gradient, placed at the maxima."""
        return (self.backward(dout[0], out[1], x, self.geometry),)


class MaxPooling(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """`ops.MaxPool`."""

    def __init__(self, library: Path, layer: nn.MaxPool2d, form: Form) -> None:
        super().__init__()
        self.pooled = _Pooled(library, layer, form)

    def construct(self, x: Tensor) -> Tensor:
        """Compute `ops.MaxPool`."""
        return self.pooled(x)[0]


class Swish(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """x · sigmoid(x), for layers that have `kernel = "swish"` and compute it by their attribute `function`."""

    def __init__(self, library: Path) -> None:
        super().__init__()
        self.forward = _operator(library, "swish", lambda x: x)
        self.backward = _operator(library, "swish_gradient", lambda _dy, x: x)

    def construct(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return self.forward(x)

    def bprop(self, x: Tensor, _out: Tensor, dout: Tensor) -> tuple[Tensor]:
        """Return the gradient of x."""
        return (self.backward(dout, x),)


class ReLU6(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """`ops.ReLU6`, whose gradient takes MindSpore longer than the convolutions beside it."""

    def __init__(self, library: Path, _layer: nn.ReLU6, _form: Form) -> None:
        super().__init__()
        self.forward = _operator(library, "relu6", lambda x: x)
        self.backward = _operator(library, "relu6_gradient", lambda dy, _x: dy)

    def construct(self, x: Tensor) -> Tensor:
        """Compute `ops.ReLU6`."""
        return self.forward(x)

    def bprop(self, x: Tensor, _out: Tensor, dout: Tensor) -> tuple[Tensor]:
        """Return the gradient: that of the result where 0 < x < 6."""
        return (self.backward(dout, x),)


# Layer, attribute of its operator, the operator's type, and the replacement. The type is checked, because a layer may
# have another one: pooling with explicit padding uses MaxPool3DWithArgmax.
_LAYERS: tuple[tuple[type[nn.Cell], str, type[ops.Primitive], Callable[[Path, Any, Form], nn.Cell]], ...] = (
    (nn.Conv2d, "conv2d", ops.Conv2D, Convolution),
    (nn.BatchNorm2d, "bn_train", ops.BatchNorm, BatchNormalisation),
    (nn.MaxPool2d, "max_pool", ops.MaxPool, MaxPooling),
    (nn.ReLU6, "relu6", ops.ReLU6, ReLU6),
)
REPLACED = frozenset({"function", *(attribute for _, attribute, _, _ in _LAYERS)})
"""Attributes of layers that hold a kernel in place of MindSpore's operator."""


def _is_nchw(layer: nn.Cell) -> bool:
    """Return True for NCHW, the only format that the kernels support, and for layers of any format."""
    return {getattr(layer, name, "NCHW") for name in ("format", "data_format")} == {"NCHW"}


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
