"""Residual networks: the CIFAR family, and larger ones with a stem for large or small images.

K. He et al. 2015, "Deep Residual Learning for Image Recognition": §4.2 for the CIFAR family, table 1 for the others.
The bottleneck has its stride in the 3×3 convolution, as in common implementations.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mindspore import Parameter, Tensor, nn, ops
from mindspore.common.initializer import HeNormal, Normal, initializer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mindspore.common.initializer import Initializer

    from ..spec.train_spec import TrainSpec

_CIFAR_DEPTHS = {"resnet20": 3, "resnet32": 5, "resnet44": 7, "resnet56": 9}


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias; output size = input size / stride; He initialisation (normal, fan-in)."""
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,
        pad_mode="pad",
        padding=kernel // 2,
        weight_init=HeNormal(mode="fan_in", nonlinearity="relu"),
    )


class Projection(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Shortcut with a 1×1 convolution (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = _convolution(inputs, outputs, 1, stride)
        self.norm = nn.BatchNorm2d(outputs)

    def construct(self, x: Tensor) -> Tensor:
        """Return features of the new size."""
        return self.norm(self.conv(x))


class Padding(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Shortcut without parameters (option A): every second pixel, new channels of zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        # Pooling over one pixel is a subsampling that every compiler supports.
        self.every = nn.MaxPool2d(1, stride)
        before = (outputs - inputs) // 2
        self.pad = ops.Pad(((0, 0), (before, outputs - inputs - before), (0, 0), (0, 0)))

    def construct(self, x: Tensor) -> Tensor:
        """Return features of the new size."""
        return self.pad(self.every(x))


class Basic(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Two 3×3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: type[nn.Cell]) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, width, 3, stride)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        same = stride == 1 and inputs == width
        self.shortcut = nn.Identity() if same else shortcut(inputs, width, stride)

    def construct(self, x: Tensor) -> Tensor:
        """Return features [n, width, height / stride, …]."""
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Bottleneck(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """1×1, 3×3 and 1×1 convolutions and a shortcut; the output has four times as many channels."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, shortcut: type[nn.Cell]) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1 = _convolution(inputs, width, 1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, stride)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, outputs, 1)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else shortcut(inputs, outputs, stride)

    def construct(self, x: Tensor) -> Tensor:
        """Return features [n, 4 · width, height / stride, …]."""
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.relu(self.norm2(self.conv2(y)))
        return self.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


class Stem(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """First layers: 3×3 convolution for small images; 7×7 convolution and 3×3 max-pool, both stride 2, for large."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        large = kernel == 7
        self.conv = _convolution(3, width, kernel, 2 if large else 1)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, pad_mode="same") if large else nn.Identity()

    def construct(self, image: Tensor) -> Tensor:
        """Return features [n, width, height / 4 or height, …]."""
        return self.pool(self.relu(self.norm(self.conv(image))))


class ResNet(nn.Cell):  # type: ignore[misc]  # MindSpore has no types
    """Stem, stages of blocks (each but the first halves the image), global mean, dense layer.

    Args:
        block: `Basic` or `Bottleneck`.
        depths: blocks per stage; three or four stages.
        width: channels of the first stage; they double from stage to stage.
        kernel: kernel size of the stem, 3 or 7.
        shortcut: shortcut where the shape changes, `Projection` or `Padding`.
        classes: number of classes.

    Raises:
        ValueError: the number of stages is not three or four.
    """

    def __init__(
        self,
        block: type[Basic | Bottleneck],
        depths: Sequence[int],
        *,
        width: int,
        kernel: int,
        shortcut: type[nn.Cell],
        classes: int,
    ) -> None:
        super().__init__()
        if len(depths) not in (3, 4):
            raise ValueError(f"a residual network has three or four stages, not {len(depths)}")
        self.stem = Stem(width, kernel)
        channels = width
        blocks = []
        for stage, depth in enumerate(depths):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width << stage, stride, shortcut))
                channels = block.expansion * (width << stage)
        self.blocks = nn.SequentialCell(blocks)
        self.mean = ops.ReduceMean(keep_dims=False)
        self.head = nn.Dense(channels, classes)

    def construct(self, image: Tensor) -> Tensor:
        """Return logits [n, classes] of images [n, 3, size, size]."""
        return self.head(self.mean(self.blocks(self.stem(image)), (2, 3)))


_LARGE: dict[str, tuple[type[Basic | Bottleneck], tuple[int, ...]]] = {
    "resnet18": (Basic, (2, 2, 2, 2)),
    "resnet34": (Basic, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}

# Parts of parameter names in other checkpoints: MindSpore's model zoo (down_sample_layer, end_point), MindCV
# (down_sample, classifier), the ResNet50 tutorial's (norm, fc), MindVision (backbone, features, head.dense), PyTorch's.
_SHORTCUT = r"\.(?:down_sample(?:_layer)?|downsample|shortcut)(?:\.features)?"
_PARTS = (
    (r"^backbone\.", ""),
    (r"^conv1\.features\.1\.", "stem.norm."),
    (r"^conv1\.(features\.0\.)?", "stem.conv."),
    (r"^(bn1|norm)\.", "stem.norm."),
    (r"^(end_point|fc|classifier|head\.dense)\.", "head."),
    (r"\.conv(\d)\.features\.0\.", r".conv\1."),
    (r"\.conv(\d)\.features\.1\.", r".norm\1."),
    (r"\.bn(\d)\.", r".norm\1."),
    (_SHORTCUT + r"\.0\.", ".shortcut.conv."),
    (_SHORTCUT + r"\.1\.", ".shortcut.norm."),
    (r"(norm\d?)\.weight$", r"\1.gamma"),
    (r"(norm\d?)\.bias$", r"\1.beta"),
    (r"\.running_(mean)$", r".moving_\1"),
    (r"\.running_(var)$", r".moving_\1iance"),
)


def native_name(spec: TrainSpec, name: str) -> str:
    """Return this network's name of the parameter that other implementations call `name`."""
    for pattern, replacement in _PARTS:
        name = re.sub(pattern, replacement, name)
    stage = re.match(r"layer(\d)\.(\d+)\.(.*)", name)
    if stage is None:
        return name
    depths = _depths(spec.network)
    return f"blocks.{sum(depths[: int(stage[1]) - 1]) + int(stage[2])}.{stage[3]}"


def _depths(network: str) -> tuple[int, ...]:
    return (_CIFAR_DEPTHS[network],) * 3 if network in _CIFAR_DEPTHS else _LARGE[network][1]


def build(spec: TrainSpec) -> nn.Cell:
    """Build the network of a specification, initialised from MindSpore's seed."""
    if spec.network in _CIFAR_DEPTHS:
        width = round(16 * spec.width)
        return ResNet(Basic, _depths(spec.network), width=width, kernel=3, shortcut=Padding, classes=spec.classes)
    block, depths = _LARGE[spec.network]
    kernel = 3 if spec.stem == "3x3" else 7
    width = round(64 * spec.width)
    network = ResNet(block, depths, width=width, kernel=kernel, shortcut=Projection, classes=spec.classes)
    if block is Bottleneck:
        _start_as_identity(network)
    return network


def _start_as_identity(network: nn.Cell) -> None:
    """Give a network of bottlenecks the initial values of the ResNet50 tutorial.

    All weights: normal, mean 0, standard deviation 0.01; biases 0; gamma of a block's last normalisation 0, so that a
    block passes on its shortcut alone, and of the others 1. The model zoo of MindSpore 1 has these values
    (mindspore-ai/mindspore b079e34e, model_zoo/official/cv/resnet/src/resnet.py: `_weight_variable`, `_fc` and
    `_bn_last`), and the tutorial shows its blocks (mindspore-ai/course, resnet50/README.md). For gamma also P. Goyal et
    al. 2017, §5.1.
    With gamma 1, gradients grow from block to block where the last blocks see single pixels (images of 32).
    """
    for _, cell in network.cells_and_names():
        if isinstance(cell, Bottleneck):
            _fill(cell.norm3.gamma, "zeros")
        elif isinstance(cell, nn.Conv2d):
            _fill(cell.weight, Normal(0.01))
        elif isinstance(cell, nn.Dense):
            _fill(cell.weight, Normal(0.01))
            _fill(cell.bias, "zeros")


def _fill(parameter: Parameter, values: Initializer | str) -> None:
    parameter.set_data(initializer(values, parameter.shape, parameter.dtype))
