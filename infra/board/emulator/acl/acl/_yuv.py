"""Pictures in DVPP's form: a plane of luma, then interleaved chroma of half the size, in strided rows."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import _codes
from ._shapes import AclError

NV12, NV21 = 1, 2  # colour as UVUV… or VUVU… (docs/reference/pyacl.md §4.2)
Plane = npt.NDArray[np.uint8]


def size_of(width_stride: int, height_stride: int) -> int:
    """Bytes of a picture."""
    return width_stride * height_stride * 3 // 2


def decode_jpeg(data: bytes) -> Image.Image:
    """A JPEG as a YCbCr picture, without a conversion to RGB."""
    picture = open_jpeg(data)
    picture.draft("YCbCr", picture.size)
    try:
        return picture.convert("YCbCr")
    except (OSError, SyntaxError, ValueError) as error:
        raise AclError(_codes.INVALID_PARAM, f"the JPEG cannot be decoded: {error}") from error


def open_jpeg(data: bytes) -> Image.Image:
    """Read a JPEG's header."""
    try:
        return Image.open(io.BytesIO(data), formats=("JPEG",))
    except (OSError, SyntaxError, ValueError) as error:
        raise AclError(_codes.INVALID_PARAM, f"the data is no JPEG: {error}") from error


def read(memory: Plane, size: tuple[int, int], strides: tuple[int, int], pixel_format: int) -> Image.Image:
    """Read a picture from strided memory.

    Args:
        memory: uint8 [bytes].
        size: width and height in pixels.
        strides: width and height in memory.
        pixel_format: `NV12` or `NV21`.
    """
    brightness, colour = _planes(memory, strides, pixel_format)
    width, height = size
    halves = colour[: (height + 1) // 2, : (width + 1) // 2]
    planes = [Image.fromarray(np.ascontiguousarray(brightness[:height, :width]))]
    for channel in _order(pixel_format):
        small = Image.fromarray(np.ascontiguousarray(halves[:, :, channel]))
        planes.append(small.resize((small.width * 2, small.height * 2), Image.Resampling.NEAREST).crop((0, 0, *size)))
    return Image.merge("YCbCr", planes)


def write(
    picture: Image.Image, memory: Plane, strides: tuple[int, int], pixel_format: int, at: tuple[int, int]
) -> None:
    """Write a YCbCr picture to strided memory, with its upper left corner at `at` (even numbers)."""
    brightness, colour = _planes(memory, strides, pixel_format)
    left, top = at
    y, *halves = (np.asarray(plane) for plane in picture.split())
    brightness[top : top + picture.height, left : left + picture.width] = y
    rows, columns = (picture.height + 1) // 2, (picture.width + 1) // 2
    for plane, channel in zip(halves, _order(pixel_format), strict=True):
        small = Image.fromarray(plane).resize((columns, rows), Image.Resampling.BOX)
        colour[top // 2 : top // 2 + rows, left // 2 : left // 2 + columns, channel] = np.asarray(small)


def _order(pixel_format: int) -> tuple[int, int]:
    """The positions of Cb and Cr in a pair."""
    return (0, 1) if pixel_format == NV12 else (1, 0)


def _planes(memory: Plane, strides: tuple[int, int], pixel_format: int) -> tuple[Plane, npt.NDArray[np.uint8]]:
    if pixel_format not in {NV12, NV21}:
        raise AclError(_codes.API_NOT_SUPPORT, f"pixel format {pixel_format} is not supported here")
    width, height = strides
    if width <= 0 or height <= 0 or width % 2 or height % 2:
        raise AclError(_codes.INVALID_PARAM, f"strides {width}×{height} are not positive and even")
    if memory.size < size_of(width, height):
        raise AclError(_codes.INVALID_PARAM, f"{memory.size} bytes are too few for {width}×{height}")
    split = width * height
    return memory[:split].reshape(height, width), memory[split : size_of(width, height)].reshape(-1, width // 2, 2)
