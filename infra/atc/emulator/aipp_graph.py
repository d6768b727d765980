"""AIPP as ONNX nodes, in the hardware's order: channel swap → crop → colour conversion → mean and variance → padding.

Colour conversion is exact integer arithmetic. The normalisation has float16 constants and its result is rounded to
float16, as the hardware passes it to the model (docs/reference/atc.md §3.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from infra.atc.aipp import Aipp
from infra.atc.codes import AtcError
from infra.atc.emulator.aipp_config import CHANNELS

_WIDTHS, _HEIGHTS = range(2, 4097), range(1, 4097)


@dataclass(frozen=True)
class Preprocessing:
    """The AIPP nodes of one input.

    Attributes:
        name: the input.
        dims: of the input bytes, NHWC; -1 for a dimension that the gear sets.
        nodes: from the input `name` to `{name}__fed`, which is NCHW float32.
        constants: of the nodes.
    """

    name: str
    dims: tuple[int, ...]
    nodes: Sequence[onnx.NodeProto]
    constants: Sequence[onnx.TensorProto]


def preprocessing(config: Aipp, name: str, dims: tuple[int, ...], layout: str) -> Preprocessing:
    """Build the nodes.

    Args:
        config: one block.
        name: the model's input.
        dims: of that input, NCHW; -1 for a dimension that the gear sets.
        layout: of the inputs.

    Raises:
        AtcError: E10052 when configuration and input contradict each other.
    """
    if len(dims) != 4 or layout != "NCHW":
        raise AtcError("E10052", reason=f"input {name} is not an NCHW image")
    batch, channels, height, width = dims
    source_height, source_width = _source_size(config, height, width)
    if -1 in (height, width):
        _check_dynamic(config)
    else:
        _check_size(config, (source_height, source_width), (height, width))
    form = str(config["input_format"])
    build = _Builder(name)
    build.add("Cast", to=TensorProto.FLOAT)
    if form == "YUV420SP_U8":
        _unpack_yuv420(build, source_height, source_width)
        fed = (batch, source_height * 3 // 2, source_width, 1)
    else:
        fed = (batch, source_height, source_width, CHANNELS[form])
    present = _order_channels(build, config, form)
    if config.get("crop"):
        _crop(build, config, height, width)
    if config.get("csc_switch"):
        _convert_colours(build, config)
    if channels not in (1, present):
        raise AtcError("E10052", reason=f"{form} gives {present} channels, input {name} has {channels}")
    if channels < present:
        build.add("Gather", build.constant(np.arange(channels)), axis=3)
    _normalise(build, config, channels)
    if config.get("padding"):
        _pad(build, config)
    build.add("Transpose", perm=[0, 3, 1, 2], output=f"{name}__fed")
    return Preprocessing(name, fed, build.nodes, build.constants)


@dataclass
class _Builder:
    """A chain of nodes: each takes the result of the last one first."""

    name: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    last: str = ""

    def constant(self, value: "np.ndarray[Any, Any]") -> str:
        name = f"{self.name}__aipp_c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, *others: str, output: str = "", start: str = "", **attributes: object) -> str:
        """Append a node that takes `start` (by default the last result) and `others`."""
        inputs = [start or self.last or self.name, *others]
        self.last = output or f"{self.name}__aipp_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [self.last], name=self.last, **attributes))
        return self.last


def _source_size(config: Aipp, height: int, width: int) -> tuple[int, int]:
    """Height and width of the input image; 0 means the model's."""
    return int(config.get("src_image_size_h", 0)) or height, int(config.get("src_image_size_w", 0)) or width


def _crop_size(config: Aipp, height: int, width: int) -> tuple[int, int]:
    return int(config.get("crop_size_h", 0)) or height, int(config.get("crop_size_w", 0)) or width


def _check_dynamic(config: Aipp) -> None:
    """Raise E10052 when the configuration sets a size that dynamic image sizes set already."""
    if any(config.get(key) for key in ("src_image_size_h", "src_image_size_w", "crop", "padding")):
        raise AtcError("E10052", reason="AIPP with dynamic image sizes allows no src_image_size, crop or padding")
    if config["input_format"] == "YUV420SP_U8":
        raise AtcError("E10055", reason="this stand-in does not support YUV420SP_U8 with dynamic image sizes")


def _check_size(config: Aipp, source: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Raise E10052 unless crop and padding turn the source's size into the model's."""
    height, width = source
    if height not in _HEIGHTS or width not in _WIDTHS:
        raise AtcError("E10052", reason=f"src_image_size {width}x{height} is not from 2x1 to 4096x4096")
    if config["input_format"] == "YUV420SP_U8" and (height % 2 or width % 2):
        raise AtcError("E10052", reason=f"src_image_size {width}x{height} is odd, but YUV420SP_U8 needs even sizes")
    if config.get("crop"):
        top, left = int(config.get("load_start_pos_h", 0)), int(config.get("load_start_pos_w", 0))
        crop_height, crop_width = _crop_size(config, *wanted)
        if top < 0 or left < 0 or top + crop_height > height or left + crop_width > width:
            raise AtcError("E10052", reason=f"the crop goes beyond the image of {width}x{height}")
        height, width = crop_height, crop_width
    if config.get("padding"):
        height += int(config.get("top_padding_size", 0)) + int(config.get("bottom_padding_size", 0))
        width += int(config.get("left_padding_size", 0)) + int(config.get("right_padding_size", 0))
    if (height, width) != wanted:
        raise AtcError("E10052", reason=f"AIPP gives {width}x{height}, the model takes {wanted[1]}x{wanted[0]}")


def _unpack_yuv420(build: _Builder, height: int, width: int) -> None:
    """(N, 1.5·H, W, 1) → (N, H, W, 3): a plane of Y, then a plane with U and V of each 2x2 pixels."""
    whole = build.last
    rows = [build.constant(np.array([index])) for index in (0, height, height * 3 // 2, 1)]
    luma = build.add("Slice", rows[0], rows[1], rows[3])
    build.add("Slice", rows[1], rows[2], rows[3], start=whole)
    build.add("Reshape", build.constant(np.array([0, height // 2, 1, width // 2, 1, 2])))
    build.add("Expand", build.constant(np.array([1, 1, 2, 1, 2, 1])))
    chroma = build.add("Reshape", build.constant(np.array([0, height, width, 2])))
    build.add("Concat", chroma, start=luma, axis=3)


def _order_channels(build: _Builder, config: Aipp, form: str) -> int:
    """Swap channels and drop X; returns the number of channels left."""
    order = [0] if form == "YUV400_U8" else [0, 1, 2]
    if form == "XRGB8888_U8":
        # X comes first, unless ax_swap_switch says that the bytes are RGBX.
        order = [0, 1, 2] if config.get("ax_swap_switch") else [1, 2, 3]
    if config.get("rbuv_swap_switch"):
        order = [order[0], order[2], order[1]] if form == "YUV420SP_U8" else order[::-1]
    if order != list(range(CHANNELS[form])):
        build.add("Gather", build.constant(np.array(order)), axis=3)
    return len(order)


def _crop(build: _Builder, config: Aipp, height: int, width: int) -> None:
    start = np.array([config.get("load_start_pos_h", 0), config.get("load_start_pos_w", 0)], np.int64)
    size = np.array(_crop_size(config, height, width), np.int64)
    build.add("Slice", build.constant(start), build.constant(start + size), build.constant(np.array([1, 2])))


def _convert_colours(build: _Builder, config: Aipp) -> None:
    """Compute clip(((M · (in - input_bias)) >> 8) + output_bias); float64 is exact for integers of this size."""
    matrix = [[float(config.get(f"matrix_r{row}c{column}", 0)) for column in range(3)] for row in range(3)]
    biases = {
        end: np.array([config.get(f"{end}_bias_{index}", 0) for index in range(3)], np.float64)
        for end in ("input", "output")
    }
    build.add("Cast", to=TensorProto.DOUBLE)
    build.add("Sub", build.constant(biases["input"]))
    build.add("MatMul", build.constant(np.array(matrix, np.float64).T.copy()))
    build.add("Mul", build.constant(np.array(1 / 256, np.float64)))
    build.add("Floor")
    build.add("Add", build.constant(biases["output"]))
    build.add("Cast", to=TensorProto.FLOAT)
    build.add("Clip", build.constant(np.array(0, np.float32)), build.constant(np.array(255, np.float32)))


def _normalise(build: _Builder, config: Aipp, channels: int) -> None:
    places = range(channels)
    mean = np.array([config.get(f"mean_chn_{index}", 0) for index in places], np.float32)
    least = np.array([config.get(f"min_chn_{index}", 0.0) for index in places], np.float16).astype(np.float32)
    factor = np.array([config.get(f"var_reci_chn_{index}", 1.0) for index in places], np.float16).astype(np.float32)
    build.add("Sub", build.constant(mean))
    build.add("Sub", build.constant(least))
    build.add("Mul", build.constant(factor))
    build.add("Cast", to=TensorProto.FLOAT16)
    build.add("Cast", to=TensorProto.FLOAT)


def _pad(build: _Builder, config: Aipp) -> None:
    top, left, bottom, right = (
        int(config.get(f"{side}_padding_size", 0)) for side in ("top", "left", "bottom", "right")
    )
    value = np.array(config.get("cpadding_value", 0.0), np.float16).astype(np.float32)
    pads = np.array([0, top, left, 0, 0, bottom, right, 0])
    build.add("Pad", build.constant(pads), build.constant(value), mode="constant")
