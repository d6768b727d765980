import ast
import io
import struct
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from models import preprocess
from models.preprocess import (
    CIFAR10,
    PRESETS,
    PictureError,
    best,
    from_picture,
    normalise,
    resize,
    softmax,
    to_rgb,
)
from tests.cifar10 import CLASSES

SOURCE = Path(preprocess.__file__)


def random_images(count: int = 3, side: int = 32) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", PRESETS)
def test_normalised_values_follow_the_formula(name: Any) -> None:
    preset = PRESETS[name]
    images = random_images()
    tensor = normalise(images, preset)
    assert (tensor.dtype, tensor.shape) == (np.float32, (3, 3, 32, 32))
    assert tensor.flags.c_contiguous
    for channel, colour in enumerate(preset.order):
        exact = (images[..., "RGB".index(colour)] / 255.0 - preset.mean[channel]) / preset.std[channel]
        np.testing.assert_array_equal(tensor[:, channel], exact.astype(np.float32))


def test_the_default_contract_has_the_tutorials_constants_in_rgb_order() -> None:
    assert CIFAR10.mean == (0.4914, 0.4822, 0.4465)
    assert CIFAR10.std == (0.2023, 0.1994, 0.2010)
    red = np.zeros((1, 1, 1, 3), np.uint8)
    red[..., 0] = 255
    assert normalise(red)[0, :, 0, 0] == pytest.approx([(1 - 0.4914) / 0.2023, -0.4822 / 0.1994, -0.4465 / 0.2010])


def test_one_image_and_many_give_the_same_bits() -> None:
    images = random_images(5)
    together = normalise(images)
    for index in range(5):
        np.testing.assert_array_equal(normalise(images[index : index + 1])[0], together[index])


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 32, 32, 3), np.float32), np.zeros((32, 32, 3), np.uint8), np.zeros((1, 3, 32, 32), np.uint8)],
)
def test_other_arrays_are_refused(images: Any) -> None:
    with pytest.raises(ValueError, match="images must be uint8"):
        normalise(images)


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    image = random_images(1)[0]
    np.testing.assert_array_equal(from_picture(Image.fromarray(image), 32), image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "PA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture = Image.new("L", (50, 40), 255)
    picture = picture.convert("P").convert(mode) if mode == "PA" else picture.convert(mode)
    image = from_picture(picture, 32)
    assert (image.dtype, image.shape) == (np.uint8, (32, 32, 3))
    assert image.min() >= (254 if mode != "I;16" else 0)


def test_sixteen_bits_are_scaled_down() -> None:
    deep = np.full((32, 32), 65535, np.uint16)
    deep[0] = 0
    image = from_picture(Image.fromarray(deep), 32)
    assert image[0].max() == 0
    assert image[1:].min() == 255


def test_the_type_decides_the_scale_and_not_the_content() -> None:
    """A dark 16-bit picture is dark; in the mode of 32-bit numbers, as older versions of Pillow open it, too."""
    dark = np.full((32, 32), 255, np.uint16)
    assert from_picture(Image.fromarray(dark), 32).max() == 1
    older = Image.fromarray(dark.astype(np.int32))
    older.format = "PNG"
    assert from_picture(older, 32).max() == 1


@pytest.mark.parametrize(("kind", "words"), [(np.float32, "floating-point pixels"), (np.int32, "32-bit pixels")])
def test_numbers_without_a_scale_are_refused(kind: Any, words: str) -> None:
    with pytest.raises(PictureError, match=f"{words} have no fixed scale"):
        from_picture(Image.fromarray(np.zeros((32, 32), kind)), 32)


def test_lab_colours_are_refused_as_older_versions_cannot_convert_them() -> None:
    with pytest.raises(PictureError, match="LAB colours"):
        from_picture(Image.new("LAB", (32, 32)), 32)


def test_transparent_pixels_lie_on_white() -> None:
    assert from_picture(Image.new("RGBA", (32, 32), (255, 0, 0, 0)), 32).min() == 255
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([255, 0, 0] * 256)
    palette.info["transparency"] = 0
    assert from_picture(palette, 32).min() == 255


def exif_data(kind: int = 3, count: int = 1, value: bytes = b"\x06\0", order: str = "<", before: bytes = b"") -> bytes:
    """EXIF data with the orientation 6, shown after a turn by 90 degrees clockwise, as its last entry."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHL", 0x0112, kind, count) + value + b"\0\0"
    return head + struct.pack(f"{order}LH", 8, 1 + len(before) // 12) + before + entry + b"\0\0\0\0"


GOOD_EXIF = exif_data()
TURNED_EXIF = {
    "as cameras write it": b"Exif\0\0" + GOOD_EXIF,
    "without a head": GOOD_EXIF,
    "with two heads": b"Exif\0\0Exif\0\0" + GOOD_EXIF,
    "big-endian": exif_data(value=b"\0\x06", order=">"),
    "an unknown type before": exif_data(before=struct.pack("<HHLL", 0x10F, 0, 1, 0)),
    "a part that lies outside": exif_data(before=struct.pack("<HHLL", 0x8769, 4, 1, 60_000)),
    "a number for a text before": exif_data(before=struct.pack("<HHLHH", 0x10F, 3, 1, 5, 0)),
}
UPRIGHT_EXIF = {
    "empty": b"Exif\0\0",
    "no header": b"Exif\0\0\0\x08\0\x02\x01\x12\0\x03",
    "text": b"Exif\0\0b'Exif\\x00",
    "cut off": b"Exif\0\0" + GOOD_EXIF[:14],
    "the table lies outside": b"II*\0\xff\xff\xff\xff",
    "orientation 0": exif_data(value=b"\0\0"),
    "orientation 9": exif_data(value=b"\x09\0"),
    "two orientations": exif_data(count=2),
    "a text": exif_data(kind=2, value=b"6\0"),
}


@pytest.mark.parametrize("name", [*TURNED_EXIF, *UPRIGHT_EXIF])
@pytest.mark.parametrize("style", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_data_turns_a_picture_once_or_is_ignored(style: str, name: str) -> None:
    pixels = random_images(1)[0]
    buffer = io.BytesIO()
    exif = (TURNED_EXIF | UPRIGHT_EXIF)[name]
    if style == "JPEG" and not exif.startswith(b"Exif"):
        exif = b"Exif\0\0" + exif  # by which Pillow knows it there
    Image.fromarray(pixels).save(buffer, style, exif=exif, quality=95, lossless=True)
    picture = Image.open(buffer)
    lying = np.asarray(picture.convert("RGB"))
    expected = np.rot90(lying, -1) if name in TURNED_EXIF else lying
    np.testing.assert_array_equal(from_picture(picture, 32), expected)
    np.testing.assert_array_equal(np.asarray(to_rgb(to_rgb(Image.open(buffer)))), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_that_of_pillow(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for style in ("PNG", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(random_images(1)[0]).save(buffer, style, exif=exif)
        expected = np.asarray(ImageOps.exif_transpose(Image.open(buffer)))
        np.testing.assert_array_equal(np.asarray(to_rgb(Image.open(buffer))), expected)


def test_the_tags_of_a_tiff_turn_it_where_pillow_does_not() -> None:
    """Pillow 5.1 has no `getexif`, and leaves a TIFF lying."""

    class OldPicture:
        format, mode = "TIFF", "RGB"
        info: Any = MappingProxyType({})
        tag_v2 = MappingProxyType({0x0112: 6})

        def load(self) -> None:
            """Nothing is lazy here."""

        def transpose(self, method: int) -> Image.Image:
            return Image.fromarray(pixels).transpose(method)  # type: ignore[arg-type]

    pixels = random_images(1)[0]
    old: Any = OldPicture()
    np.testing.assert_array_equal(np.asarray(to_rgb(old)), np.rot90(pixels, -1))


def test_a_turned_palette_picture_keeps_its_transparency() -> None:
    picture = Image.new("P", (32, 16), 0)
    picture.putpalette([255, 0, 0] * 256)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=0, exif=GOOD_EXIF)
    assert np.asarray(to_rgb(Image.open(buffer))).min() == 255


def test_orientation_that_imagemagick_writes_as_text() -> None:
    pixels = random_images(1)[0]
    picture = Image.fromarray(pixels)
    picture.info["Raw profile type exif"] = f"\nexif\n      {len(GOOD_EXIF)}\n{GOOD_EXIF.hex()}\n"
    np.testing.assert_array_equal(from_picture(picture, 32), np.rot90(pixels, -1))
    picture.info["Raw profile type exif"] = "\nexif\n 3\nno number\n"
    np.testing.assert_array_equal(from_picture(picture, 32), pixels)


def test_only_what_every_allowed_pillow_has_is_used() -> None:
    """Boards run old versions: nothing that came after 5.1, such as `getexif` and `ImageOps.exif_transpose`."""
    names = {node.attr for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.Attribute)}
    assert not names & {"getexif", "exif_transpose", "Transpose", "Resampling", "apply_transparency"}


def test_arrays_and_pictures_are_resized_alike() -> None:
    images = random_images(3)
    resized = resize(images, 48)
    assert resized.shape == (3, 48, 48, 3)
    for index in range(3):
        np.testing.assert_array_equal(resized[index], from_picture(Image.fromarray(images[index]), 48))
    assert resize(images, 32) is images
    assert resize(images[:0], 48).shape == (0, 48, 48, 3)


def test_softmax_is_stable() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])), 0.5)
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3.0)])), [0.25, 0.75])


def test_the_best_classes_come_first() -> None:
    logits = np.zeros(10, np.float32)
    logits[[3, 5]] = 2, 4
    found = best(logits, CLASSES, 3)
    assert [name for name, _ in found] == [CLASSES[5], CLASSES[3], CLASSES[0]]
    assert sum(probability for _, probability in best(logits, CLASSES, 10)) == pytest.approx(1.0)


def test_the_module_stands_alone_on_python_3_6() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    imported = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported == {"typing", "warnings", "numpy", "PIL"}
