import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

NV12, NV21 = 1, 2


def smooth(width: Any, height: Any) -> Any:
    """A picture without sharp edges, so that halved colour loses little."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def jpeg(picture: Any) -> Any:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def difference(one: Any, other: Any) -> Any:
    """Largest mean difference of a channel."""
    return np.abs(np.asarray(one, float) - np.asarray(other, float)).mean((0, 1)).max()


class Dvpp:
    """A channel and a stream, in the manner of programs that use them."""

    def __init__(self, acl: Any) -> None:
        self.acl = acl
        self.media = acl.media
        self.stream, _ = acl.rt.create_stream()
        self.channel = self.media.dvpp_create_channel_desc()
        assert self.media.dvpp_create_channel(self.channel) == 0
        self.resize = self.media.dvpp_create_resize_config()
        self.quality = self.media.dvpp_create_jpege_config()
        assert self.media.dvpp_set_jpege_config_level(self.quality, 100) == 0

    def picture(self, width: Any, height: Any, strides: Any, pixel_format: Any = NV12) -> Any:
        """A description with memory: (description, address, bytes)."""
        media, (across, down) = self.media, strides
        size = across * down * 3 // 2
        pointer, code = media.dvpp_malloc(size)
        assert code == 0
        description = media.dvpp_create_pic_desc()
        for name, value in {
            "data": pointer,
            "format": pixel_format,
            "width": width,
            "height": height,
            "width_stride": across,
            "height_stride": down,
            "size": size,
        }.items():
            assert getattr(media, f"dvpp_set_pic_desc_{name}")(description, value) == 0
            assert getattr(media, f"dvpp_get_pic_desc_{name}")(description) == value
        return description, pointer, size

    def decode(self, data: Any, pixel_format: Any = NV12) -> Any:
        pointer = self.acl.util.bytes_to_ptr(data)
        with Image.open(io.BytesIO(data)) as header:
            width, height = header.size
        strides = -(-width // 128) * 128, -(-height // 16) * 16
        assert self.media.dvpp_jpeg_predict_dec_size(pointer, len(data), pixel_format) == (
            strides[0] * strides[1] * 3 // 2,
            0,
        )
        made = self.picture(width, height, strides, pixel_format)
        code = self.media.dvpp_jpeg_decode_async(self.channel, pointer, len(data), made[0], self.stream)
        assert code == 0
        assert self.acl.rt.synchronize_stream(self.stream) == 0
        return made

    def look(self, made: Any, width: Any, height: Any, across: Any, pixel_format: Any = NV12) -> Any:
        """The picture as a person sees it, decoded here independently of the stand-in."""
        _, pointer, size = made
        memory = np.frombuffer(self.acl.util.ptr_to_bytes(pointer, size), np.uint8)
        down = size * 2 // 3 // across
        y = memory[: across * down].reshape(down, across)[:height, :width]
        pairs = memory[across * down :].reshape(down // 2, across // 2, 2)
        if pixel_format == NV21:
            pairs = pairs[:, :, ::-1]
        colour = pairs.repeat(2, 0).repeat(2, 1)[:height, :width]
        return Image.merge("YCbCr", [Image.fromarray(np.ascontiguousarray(p)) for p in (y, *colour.transpose(2, 0, 1))])


@pytest.fixture
def dvpp(acl: Any) -> "Dvpp":
    return Dvpp(acl)


@pytest.mark.parametrize("pixel_format", [NV12, NV21])
@pytest.mark.parametrize("size", [(64, 48), (201, 99)])
def test_jpeg_decode(dvpp: Any, size: Any, pixel_format: Any) -> None:
    picture = smooth(*size)
    made = dvpp.decode(jpeg(picture), pixel_format)
    seen = dvpp.look(made, *size, -(-size[0] // 128) * 128, pixel_format)
    assert difference(seen.convert("RGB"), picture) < 4


def test_resize(dvpp: Any) -> None:
    picture = smooth(200, 100)
    source = dvpp.decode(jpeg(picture))
    target = dvpp.picture(64, 32, (64, 32))
    code = dvpp.media.dvpp_vpc_resize_async(dvpp.channel, source[0], target[0], dvpp.resize, dvpp.stream)
    assert code == 0
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 0
    assert (
        difference(dvpp.look(target, 64, 32, 64).convert("RGB"), picture.resize((64, 32), Image.Resampling.BILINEAR))
        < 4
    )
    assert dvpp.media.dvpp_destroy_pic_desc(target[0]) == 0
    assert dvpp.media.dvpp_destroy_pic_desc(target[0]) == 100000
    assert dvpp.media.dvpp_get_pic_desc_width(target[0]) == 0
    assert dvpp.acl.get_recent_err_msg().endswith("is not a living picture")
    assert dvpp.media.dvpp_free(target[1]) == 0


def test_crop_and_paste(dvpp: Any) -> None:
    picture = smooth(128, 64)
    source = dvpp.decode(jpeg(picture))
    target = dvpp.picture(64, 64, (64, 64))
    dvpp.acl.rt.memset(target[1], target[2], 128, target[2])
    crop = dvpp.media.dvpp_create_roi_config(32, 95, 0, 63)
    paste = dvpp.media.dvpp_create_roi_config(16, 47, 32, 63)
    code = dvpp.media.dvpp_vpc_crop_and_paste_async(dvpp.channel, source[0], target[0], crop, paste, dvpp.stream)
    assert code == 0
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 0
    seen = dvpp.look(target, 64, 64, 64).convert("RGB")
    expected = picture.crop((32, 0, 96, 64)).resize((32, 32), Image.Resampling.BILINEAR)
    assert difference(seen.crop((16, 32, 48, 64)), expected) < 5
    assert np.asarray(seen)[:30].std() < 1  # what is not pasted on stays as it was
    outside = dvpp.media.dvpp_create_roi_config(0, 64, 0, 63)
    code = dvpp.media.dvpp_vpc_crop_and_paste_async(dvpp.channel, source[0], target[0], crop, outside, dvpp.stream)
    assert code == 100000


def test_jpeg_encode(dvpp: Any) -> None:
    picture = smooth(96, 80)
    source = dvpp.decode(jpeg(picture))
    size, code = dvpp.media.dvpp_jpeg_predict_enc_size(source[0], dvpp.quality)
    assert code == 0
    pointer, _ = dvpp.media.dvpp_malloc(size)
    count = np.array([size], np.int32)
    address = dvpp.acl.util.numpy_to_ptr(count)
    code = dvpp.media.dvpp_jpeg_encode_async(dvpp.channel, source[0], pointer, address, dvpp.quality, dvpp.stream)
    assert code == 0
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 0
    assert 0 < count[0] < size
    encoded = dvpp.acl.util.ptr_to_bytes(pointer, int(count[0]))
    assert difference(Image.open(io.BytesIO(encoded)).convert("RGB"), picture) < 4
    count[0] = 10
    dvpp.media.dvpp_jpeg_encode_async(dvpp.channel, source[0], pointer, address, dvpp.quality, dvpp.stream)
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 100000


def test_a_description_may_go_before_the_stream_has_come_to_it(dvpp: Any) -> None:
    """Programs destroy the description of the output between the asynchronous call and the synchronisation."""
    picture = smooth(128, 64)
    data = jpeg(picture)
    made = dvpp.picture(128, 64, (128, 64))
    code = dvpp.media.dvpp_jpeg_decode_async(
        dvpp.channel, dvpp.acl.util.bytes_to_ptr(data), len(data), made[0], dvpp.stream
    )
    assert code == 0
    assert dvpp.media.dvpp_destroy_pic_desc(made[0]) == 0
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 0
    assert difference(dvpp.look(made, 128, 64, 128).convert("RGB"), picture) < 4


def test_other_bytes_than_jpeg_are_refused(dvpp: Any) -> None:
    data = b"no picture at all"
    pointer = dvpp.acl.util.bytes_to_ptr(data)
    assert dvpp.media.dvpp_jpeg_predict_dec_size(pointer, len(data), NV12) == (0, 100000)
    torn = jpeg(smooth(64, 64))[:200]
    target = dvpp.picture(64, 64, (128, 64))
    code = dvpp.media.dvpp_jpeg_decode_async(
        dvpp.channel, dvpp.acl.util.bytes_to_ptr(torn), len(torn), target[0], dvpp.stream
    )
    assert code == 0
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 100000


def test_requests_that_the_chip_refuses(dvpp: Any) -> None:
    source = dvpp.decode(jpeg(smooth(64, 64)))
    media = dvpp.media
    target = dvpp.picture(32, 32, (32, 32))
    media.dvpp_set_pic_desc_format(target[0], 12)
    assert media.dvpp_vpc_resize_async(dvpp.channel, source[0], target[0], dvpp.resize, dvpp.stream) == 0
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 200001
    media.dvpp_set_pic_desc_format(target[0], NV12)
    media.dvpp_set_pic_desc_height_stride(target[0], 64)
    media.dvpp_vpc_resize_async(dvpp.channel, source[0], target[0], dvpp.resize, dvpp.stream)
    assert dvpp.acl.rt.synchronize_stream(dvpp.stream) == 100000
    assert media.dvpp_set_jpege_config_level(dvpp.quality, 101) == 100000
    assert media.dvpp_destroy_channel(dvpp.channel) == 0
    assert media.dvpp_vpc_resize_async(dvpp.channel, source[0], target[0], dvpp.resize, dvpp.stream) == 100000
    assert media.dvpp_destroy_channel_desc(dvpp.channel) == 0
    assert media.dvpp_destroy_resize_config(dvpp.resize) == 0
    assert media.dvpp_destroy_jpege_config(dvpp.quality) == 0
    assert media.dvpp_destroy_roi_config(media.dvpp_create_roi_config(0, 1, 0, 1)) == 0


def test_crop_several_regions(dvpp: Any) -> None:
    picture = smooth(128, 64)
    data, media, acl = jpeg(picture), dvpp.media, dvpp.acl
    pointer = acl.util.bytes_to_ptr(data)
    assert media.dvpp_jpeg_get_image_info(pointer, len(data)) == (128, 64, 3, 0)
    assert media.dvpp_jpeg_get_image_info_v2(pointer, len(data))[-1] == 0
    source = media.dvpp_create_batch_pic_desc(1)
    (decoded, address, size) = dvpp.decode(data)[:3]
    one = media.dvpp_get_pic_desc(source, 0)
    for name in ("data", "format", "width", "height", "width_stride", "height_stride", "size"):
        getattr(media, f"dvpp_set_pic_desc_{name}")(one, getattr(media, f"dvpp_get_pic_desc_{name}")(decoded))
    assert (address, size) == (media.dvpp_get_pic_desc_data(one), media.dvpp_get_pic_desc_size(one))
    target = media.dvpp_create_batch_pic_desc(2)
    made = dvpp.picture(32, 32, (32, 32))
    for index in range(2):
        own = media.dvpp_get_pic_desc(target, index)
        for name in ("format", "width", "height", "width_stride", "height_stride", "size"):
            getattr(media, f"dvpp_set_pic_desc_{name}")(own, getattr(media, f"dvpp_get_pic_desc_{name}")(made[0]))
        media.dvpp_set_pic_desc_data(own, media.dvpp_malloc(made[2])[0])
    areas = [media.dvpp_create_roi_config(0, 63, 0, 63), media.dvpp_create_roi_config(64, 127, 0, 63)]
    assert media.dvpp_vpc_batch_crop_async(dvpp.channel, source, [2], target, areas, dvpp.stream) == (target, 0)
    assert acl.rt.synchronize_stream(dvpp.stream) == 0
    for index, left in enumerate((0, 64)):
        own = media.dvpp_get_pic_desc(target, index)
        assert media.dvpp_get_pic_desc_ret_code(own) == 0
        seen = dvpp.look((own, media.dvpp_get_pic_desc_data(own), made[2]), 32, 32, 32).convert("RGB")
        wanted = picture.crop((left, 0, left + 64, 64)).resize((32, 32), Image.Resampling.BILINEAR)
        assert difference(seen, wanted) < 5
    assert media.dvpp_vpc_batch_crop_async(dvpp.channel, source, [3], target, areas, dvpp.stream) == (target, 100000)
    with pytest.raises(TypeError, match="not list"):
        media.dvpp_vpc_batch_crop_async(dvpp.channel, source, (2,), target, areas, dvpp.stream)
    assert media.dvpp_set_roi_config_right(areas[0], 128) == 0
    one_crop = media.dvpp_vpc_crop_async(dvpp.channel, decoded, made[0], areas[0], dvpp.stream)
    assert one_crop == 100000  # beyond the picture
