"""`acl.media`: resize, crop and paste (docs/reference/pyacl.md §4.3)."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from . import _codes
from ._pictures import Picture, check_channel
from ._shapes import AclError, code, value
from ._streams import run_in
from ._world import WORLD

# acldvppResizeConfig's interpolation; 0 is the chip's own, which is bilinear.
_FILTERS = {0: Image.Resampling.BILINEAR, 1: Image.Resampling.BILINEAR, 2: Image.Resampling.NEAREST}


@dataclass
class ResizeConfig:
    """How to resize."""

    interpolation: int = 0


@dataclass
class Region:
    """A rectangle, edges included."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left + 1, self.bottom - self.top + 1


def dvpp_create_resize_config() -> int:
    """How to resize."""
    return WORLD.add(ResizeConfig())


@code
def dvpp_destroy_resize_config(resize_config: int) -> None:
    """Destroy it."""
    WORLD.remove(resize_config, ResizeConfig, _codes.INVALID_PARAM)


@code
def dvpp_set_resize_config_interpolation(resize_config: int, interpolation: int) -> None:
    """Choose the interpolation."""
    if interpolation not in _FILTERS:
        raise AclError(_codes.INVALID_PARAM, f"there is no interpolation {interpolation}")
    WORLD.get(resize_config, ResizeConfig, _codes.INVALID_PARAM).interpolation = interpolation


@value(0)
def dvpp_get_resize_config_interpolation(resize_config: int) -> int:
    """The interpolation."""
    return WORLD.get(resize_config, ResizeConfig, _codes.INVALID_PARAM).interpolation


def dvpp_create_roi_config(left: int, right: int, top: int, bottom: int) -> int:
    """A rectangle."""
    return WORLD.add(Region(left, right, top, bottom))


@code
def dvpp_destroy_roi_config(roi_config: int) -> None:
    """Destroy it."""
    WORLD.remove(roi_config, Region, _codes.INVALID_PARAM)


@code
def dvpp_set_roi_config(roi_config: int, left: int, right: int, top: int, bottom: int) -> None:
    """Change a rectangle."""
    found = region(roi_config)
    found.left, found.right, found.top, found.bottom = left, right, top, bottom


def _edge(name: str) -> Callable[[int, int], int]:
    @code
    def set_edge(roi_config: int, value: int) -> None:
        setattr(region(roi_config), name, value)

    return set_edge


dvpp_set_roi_config_left = _edge("left")
dvpp_set_roi_config_right = _edge("right")
dvpp_set_roi_config_top = _edge("top")
dvpp_set_roi_config_bottom = _edge("bottom")


@code
def dvpp_vpc_resize_async(
    channel_desc: int, input_desc: int, output_desc: int, resize_config: int, stream: int
) -> None:
    """Resize, in a stream."""
    check_channel(channel_desc)
    resample = _resample(resize_config)
    source, target = picture(input_desc), picture(output_desc)
    run_in(
        stream,
        target.watch(lambda: target.store(source.load().resize((target.width, target.height), resample))),
    )


@code
def dvpp_vpc_crop_async(channel_desc: int, input_desc: int, output_desc: int, crop_area: int, stream: int) -> None:
    """Crop a region and resize it to the output's size, in a stream."""
    check_channel(channel_desc)
    run_in(stream, crop(picture(input_desc), picture(output_desc), region(crop_area)))


@code
def dvpp_vpc_crop_resize_async(
    channel_desc: int, input_desc: int, output_desc: int, crop_area: int, resize_config: int, stream: int
) -> None:
    """As `dvpp_vpc_crop_async`, with an interpolation."""
    check_channel(channel_desc)
    run_in(
        stream,
        crop(picture(input_desc), picture(output_desc), region(crop_area), resample=_resample(resize_config)),
    )


@code
def dvpp_vpc_crop_and_paste_async(
    channel_desc: int, input_desc: int, output_desc: int, crop_area: int, paste_area: int, stream: int
) -> None:
    """Crop a region, resize it to another region's size, and paste it there, in a stream."""
    check_channel(channel_desc)
    run_in(stream, crop(picture(input_desc), picture(output_desc), region(crop_area), region(paste_area)))


@code
def dvpp_vpc_crop_resize_paste_async(
    channel_desc: int,
    input_desc: int,
    output_desc: int,
    crop_area: int,
    paste_area: int,
    resize_config: int,
    stream: int,
) -> None:
    """As `dvpp_vpc_crop_and_paste_async`, with an interpolation."""
    check_channel(channel_desc)
    run_in(
        stream,
        crop(
            picture(input_desc),
            picture(output_desc),
            region(crop_area),
            region(paste_area),
            resample=_resample(resize_config),
        ),
    )


def picture(handle: int) -> Picture:
    """Look a picture description up."""
    return WORLD.get(handle, Picture, _codes.INVALID_PARAM)


def region(handle: int) -> Region:
    """Look a rectangle up."""
    return WORLD.get(handle, Region, _codes.INVALID_PARAM)


def crop(
    source: Picture,
    target: Picture,
    area: Region,
    paste: Region | None = None,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Callable[[], None]:
    """The work of a crop.

    Args:
        source: the picture to crop from.
        target: the picture to write to.
        area: what to crop, within the source.
        paste: where to put it; the whole target without one.
        resample: how to change its size.
    """
    paste = paste or Region(0, target.width - 1, 0, target.height - 1)
    if (
        min(area.size + paste.size) <= 0
        or area.right >= source.width
        or area.bottom >= source.height
        or paste.right >= target.width_stride
        or paste.bottom >= target.height_stride
    ):
        raise AclError(_codes.INVALID_PARAM, "a region is empty, or leaves its picture")

    def work() -> None:
        part = source.load().crop((area.left, area.top, area.right + 1, area.bottom + 1))
        target.store(part.resize(paste.size, resample), (paste.left, paste.top))

    return target.watch(work)


def _resample(resize_config: int) -> Image.Resampling:
    return _FILTERS[WORLD.get(resize_config, ResizeConfig, _codes.INVALID_PARAM).interpolation]
