"""`acl.media`: decode and encode JPEG, with Pillow (docs/reference/pyacl.md §4.1, §4.3)."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import JpegImagePlugin

from . import _codes, _yuv
from ._memory import MEMORY
from ._pictures import Picture, check_channel
from ._shapes import AclError, code, value, value_and_code
from ._streams import run_in
from ._world import WORLD

_GREY = 4  # acldvppJpegFormat: ACL_JPEG_CSS_GRAY


@dataclass
class JpegConfig:
    """How to encode."""

    level: int = 100


def dvpp_create_jpege_config() -> int:
    """How to encode."""
    return WORLD.add(JpegConfig())


@code
def dvpp_destroy_jpege_config(jpege_config: int) -> None:
    """Destroy it."""
    WORLD.remove(jpege_config, JpegConfig, _codes.INVALID_PARAM)


@code
def dvpp_set_jpege_config_level(jpege_config: int, level: int) -> None:
    """Quality, 0 to 100; 0 is the same as 100."""
    if not 0 <= level <= 100:
        raise AclError(_codes.INVALID_PARAM, f"{level} is not a quality from 0 to 100")
    WORLD.get(jpege_config, JpegConfig, _codes.INVALID_PARAM).level = level or 100


@value(0)
def dvpp_get_jpege_config_level(jpege_config: int) -> int:
    """Quality."""
    return WORLD.get(jpege_config, JpegConfig, _codes.INVALID_PARAM).level


@value_and_code(0, 0, 0)
def dvpp_jpeg_get_image_info(data: int, size: int) -> tuple[int, int, int]:
    """Width, height and number of colour components of a JPEG."""
    picture = _yuv.open_jpeg(_bytes(data, size))
    return picture.width, picture.height, len(picture.getbands())


@value_and_code(0, 0, 0, 0)
def dvpp_jpeg_get_image_info_v2(data: int, size: int) -> tuple[int, int, int, int]:
    """As `dvpp_jpeg_get_image_info`, with the subsampling: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0, 4 is grey."""
    picture = _yuv.open_jpeg(_bytes(data, size))
    bands = len(picture.getbands())
    return picture.width, picture.height, bands, _GREY if bands == 1 else JpegImagePlugin.get_sampling(picture)


@value_and_code(0)
def dvpp_jpeg_predict_dec_size(data: int, size: int, output_pixel_format: int) -> int:  # noqa: ARG001 - both take as much
    """Bytes that a decoded JPEG takes: rows of a multiple of 128, a multiple of 16 of them."""
    picture = _yuv.open_jpeg(_bytes(data, size))
    return _yuv.size_of(_align(picture.width, 128), _align(picture.height, 16))


@value_and_code(0)
def dvpp_jpeg_predict_enc_size(input_desc: int, config: int) -> int:
    """Bytes that an encoded picture takes at most."""
    WORLD.get(config, JpegConfig, _codes.INVALID_PARAM)
    picture = WORLD.get(input_desc, Picture, _codes.INVALID_PARAM)
    return _align(picture.width, 16) * _align(picture.height, 16) * 3 + 4096


@code
def dvpp_jpeg_decode_async(channel_desc: int, data: int, size: int, output_desc: int, stream: int) -> None:
    """Decode a JPEG, in a stream."""
    check_channel(channel_desc)
    encoded, output = _bytes(data, size), WORLD.get(output_desc, Picture, _codes.INVALID_PARAM)

    def work() -> None:
        picture = _yuv.decode_jpeg(encoded)
        output.width, output.height = picture.size
        output.store(picture)

    run_in(stream, output.watch(work))


@code
def dvpp_jpeg_encode_async(channel_desc: int, input_desc: int, data: int, size: int, config: int, stream: int) -> None:
    """Encode a picture, in a stream; `size` is the address of an int32 for the number of bytes."""
    check_channel(channel_desc)
    picture = WORLD.get(input_desc, Picture, _codes.INVALID_PARAM)
    level = WORLD.get(config, JpegConfig, _codes.INVALID_PARAM).level

    def work() -> None:
        buffer = io.BytesIO()
        picture.load().save(buffer, format="JPEG", quality=level)
        encoded = np.frombuffer(buffer.getvalue(), np.uint8)
        with MEMORY.view(size, 4) as count:
            if encoded.size > int(count.view(np.int32)[0]):
                raise AclError(_codes.INVALID_PARAM, f"{encoded.size} encoded bytes do not fit")
            count.view(np.int32)[0] = encoded.size
        with MEMORY.view(data, encoded.size) as target:
            target[:] = encoded

    run_in(stream, work)


def _bytes(address: int, size: int) -> bytes:
    with MEMORY.view(address, size) as memory:
        return memory.tobytes()


def _align(value: int, to: int) -> int:
    return -(-value // to) * to
