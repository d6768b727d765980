"""`acl.media`: channels and picture descriptions (docs/reference/pyacl.md §4.1, §4.3).

Pictures are in NV12 or NV21. JPEG is in `_jpeg`, resizing and cropping in `_regions`. Video is not supported.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from . import _codes, _yuv
from ._memory import MEMORY
from ._shapes import AclError, code, value, value_and_code
from ._world import WORLD


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


def check_channel(channel_desc: int) -> None:
    """Refuse a channel that is not open."""
    if not WORLD.get(channel_desc, Channel, _codes.INVALID_PARAM).open:
        raise AclError(_codes.INVALID_PARAM, "the channel is not open; call dvpp_create_channel")
