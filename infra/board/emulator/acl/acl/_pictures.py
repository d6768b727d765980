"""`acl.media`: channels, picture descriptions and JPEG, with Pillow (docs/reference/pyacl.md §4.1, §4.3).

Pictures are in NV12 or NV21. Resizing and cropping are in `_regions`. Video is not supported.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, JpegImagePlugin

from . import _codes, _yuv
from ._memory import MEMORY
from ._shapes import AclError, code, value, value_and_code
from ._streams import run_in
from ._world import WORLD

_GREY = 4  # acldvppJpegFormat: ACL_JPEG_CSS_GRAY


@dataclass
class Channel:
    """A channel description; `open` after the channel is created."""

    open: bool = False


@dataclass
class Picture:
    """A picture description."""

    data: int = 0
    format: int = _yuv.NV12
    width: int = 0
    height: int = 0
    width_stride: int = 0
    height_stride: int = 0
    size: int = 0
    ret_code: int = 0

    def watch(self, work: Callable[[], None]) -> Callable[[], None]:
        """The work, which leaves its code in `ret_code`."""

        def watched() -> None:
            try:
                work()
            except AclError as error:
                self.ret_code = error.code
                raise
            self.ret_code = _codes.SUCCESS

        return watched

    def load(self) -> Image.Image:
        """The picture in memory."""
        with MEMORY.view(self.data, self.size) as memory:
            return _yuv.read(memory, (self.width, self.height), (self.width_stride, self.height_stride), self.format)

    def store(self, picture: Image.Image, at: tuple[int, int] = (0, 0)) -> None:
        """Write a picture to memory."""
        with MEMORY.view(self.data, self.size) as memory:
            _yuv.write(picture, memory, (self.width_stride, self.height_stride), self.format, at)


@dataclass
class JpegConfig:
    """How to encode."""

    level: int = 100


@value_and_code(0)
def dvpp_malloc(size: int) -> int:
    """Memory for pictures."""
    WORLD.context()
    return MEMORY.allocate(size, device=True)


@code
def dvpp_free(dev_ptr: int) -> None:
    """Free it."""
    MEMORY.free(dev_ptr, device=True)


def dvpp_create_channel_desc() -> int:
    """Describe a channel."""
    return WORLD.add(Channel())


@code
def dvpp_destroy_channel_desc(channel_desc: int) -> None:
    """Destroy it."""
    WORLD.remove(channel_desc, Channel, _codes.INVALID_PARAM)


@code
def dvpp_create_channel(channel_desc: int) -> None:
    """Open a channel."""
    WORLD.context()
    WORLD.get(channel_desc, Channel, _codes.INVALID_PARAM).open = True


@code
def dvpp_destroy_channel(channel_desc: int) -> None:
    """Close it."""
    WORLD.get(channel_desc, Channel, _codes.INVALID_PARAM).open = False


def dvpp_create_pic_desc() -> int:
    """Describe a picture."""
    return WORLD.add(Picture())


@code
def dvpp_destroy_pic_desc(pic_desc: int) -> None:
    """Destroy it."""
    WORLD.remove(pic_desc, Picture, _codes.INVALID_PARAM)


def _setter(field: str) -> Callable[[int, int], int]:
    @code
    def set_field(pic_desc: int, value: int) -> None:
        setattr(WORLD.get(pic_desc, Picture, _codes.INVALID_PARAM), field, int(value))

    return set_field


def _getter(field: str) -> Callable[[int], int]:
    @value(0)
    def get_field(pic_desc: int) -> int:
        return int(getattr(WORLD.get(pic_desc, Picture, _codes.INVALID_PARAM), field))

    return get_field


dvpp_set_pic_desc_data = _setter("data")
dvpp_set_pic_desc_format = _setter("format")
dvpp_set_pic_desc_width = _setter("width")
dvpp_set_pic_desc_height = _setter("height")
dvpp_set_pic_desc_width_stride = _setter("width_stride")
dvpp_set_pic_desc_height_stride = _setter("height_stride")
dvpp_set_pic_desc_size = _setter("size")
dvpp_set_pic_desc_ret_code = _setter("ret_code")
dvpp_get_pic_desc_data = _getter("data")
dvpp_get_pic_desc_format = _getter("format")
dvpp_get_pic_desc_width = _getter("width")
dvpp_get_pic_desc_height = _getter("height")
dvpp_get_pic_desc_width_stride = _getter("width_stride")
dvpp_get_pic_desc_height_stride = _getter("height_stride")
dvpp_get_pic_desc_size = _getter("size")
dvpp_get_pic_desc_ret_code = _getter("ret_code")


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


def check_channel(channel_desc: int) -> None:
    """Refuse a channel that is not open."""
    if not WORLD.get(channel_desc, Channel, _codes.INVALID_PARAM).open:
        raise AclError(_codes.INVALID_PARAM, "the channel is not open; call dvpp_create_channel")


def _bytes(address: int, size: int) -> bytes:
    with MEMORY.view(address, size) as memory:
        return memory.tobytes()


def _align(value: int, to: int) -> int:
    return -(-value // to) * to
