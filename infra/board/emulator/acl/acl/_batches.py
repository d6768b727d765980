"""`acl.media`: several pictures at once (docs/reference/pyacl.md §4.3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import _codes
from ._pictures import Picture, check_channel
from ._regions import crop, picture, region
from ._shapes import AclError, code, value
from ._streams import run_in
from ._world import WORLD

_MOST_AREAS = 256


@dataclass
class Batch:
    """Picture descriptions by handle."""

    pictures: list[int]


def dvpp_create_batch_pic_desc(batch_size: int) -> int:
    """Describe several pictures."""
    return WORLD.add(Batch([WORLD.add(Picture()) for _ in range(batch_size)])) if batch_size else 0


@code
def dvpp_destroy_batch_pic_desc(batch_pic_desc: int) -> None:
    """Destroy the descriptions."""
    for handle in WORLD.remove(batch_pic_desc, Batch, _codes.INVALID_PARAM).pictures:
        WORLD.handles.pop(handle, None)


@value(0)
def dvpp_get_pic_desc(batch_pic_desc: int, index: int) -> int:
    """One of the descriptions."""
    pictures = WORLD.get(batch_pic_desc, Batch, _codes.INVALID_PARAM).pictures
    if index >= len(pictures):
        raise AclError(_codes.INVALID_PARAM, f"there is no picture {index}")
    return pictures[index]


def dvpp_vpc_batch_crop_async(
    channel_desc: int, src_batch: int, roi_nums: list[int], dst_batch: int, crop_areas: list[int], stream: int
) -> tuple[int, int]:
    """Crop `roi_nums[i]` regions from each source picture i, each into the next target picture."""
    return dst_batch, _crop(channel_desc, src_batch, roi_nums, dst_batch, crop_areas, None, stream)


def dvpp_vpc_batch_crop_and_paste_async(
    channel_desc: int,
    src_batch: int,
    roi_nums: list[int],
    dst_batch: int,
    crop_areas: list[int],
    paste_areas: list[int],
    stream: int,
) -> tuple[int, int]:
    """As `dvpp_vpc_batch_crop_async`, each into a region of its target picture."""
    return dst_batch, _crop(channel_desc, src_batch, roi_nums, dst_batch, crop_areas, paste_areas, stream)


@code
def _crop(
    channel_desc: int,
    src_batch: int,
    roi_nums: list[int],
    dst_batch: int,
    crop_areas: list[int],
    paste_areas: list[int] | None,
    stream: int,
) -> None:
    lists = [roi_nums, crop_areas] + ([] if paste_areas is None else [paste_areas])
    if not all(isinstance(part, list) for part in lists):
        raise TypeError("argument 3, 5 or 6 is not list")
    if not all(0 < len(part) <= _MOST_AREAS for part in lists) or max(roi_nums) > _MOST_AREAS:
        raise ValueError("number of crop areas must be between 1 and 256")
    check_channel(channel_desc)
    for work in _works(_pictures(src_batch), roi_nums, _pictures(dst_batch), crop_areas, paste_areas):
        run_in(stream, work)


def _works(
    sources: Sequence[Picture],
    roi_nums: Sequence[int],
    targets: Sequence[Picture],
    crop_areas: Sequence[int],
    paste_areas: Sequence[int] | None,
) -> list[Callable[[], None]]:
    if len(roi_nums) != len(sources) or sum(roi_nums) != len(crop_areas) or len(crop_areas) > len(targets):
        raise AclError(_codes.INVALID_PARAM, "the numbers of pictures, of regions and of targets do not fit together")
    owners = [source for source, count in zip(sources, roi_nums, strict=True) for _ in range(count)]
    pastes = [None] * len(crop_areas) if paste_areas is None else [region(area) for area in paste_areas]
    return [
        crop(source, target, region(area), paste)
        for source, target, area, paste in zip(owners, targets, crop_areas, pastes, strict=False)
    ]


def _pictures(batch: int) -> list[Picture]:
    return [picture(handle) for handle in WORLD.get(batch, Batch, _codes.INVALID_PARAM).pictures]
