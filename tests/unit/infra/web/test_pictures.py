"""What people upload: the right treatment, or a message that says what is wrong."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from infra.errors import UserError
from infra.web import pictures
from infra.web.pictures import open_picture
from models.preprocess import from_picture


def prepare(picture: Any) -> Any:
    return from_picture(picture, 8)


def opened(path: Any) -> Any:
    return open_picture(path, path.name, prepare)


def refused(path: Any) -> Any:
    with pytest.raises(UserError) as caught:
        opened(path)
    return str(caught.value)


@pytest.fixture
def colours() -> Any:
    """Red on the left, blue on the right."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4, 0] = pixels[:, 4:, 2] = 250
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "tiff", "ppm", "webp"])
def test_common_formats_give_their_pixels(colours: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"colours.{kind}"
    colours.save(path, **({"lossless": True} if kind == "webp" else {}))
    found = opened(path)
    np.testing.assert_array_equal(found.pixels, np.asarray(colours))
    assert found.note == ""


def test_cmyk_palette_and_grey_become_colours(colours: Any, tmp_path: Path) -> None:
    colours.convert("CMYK").save(tmp_path / "print.jpg", quality=100, subsampling=0)
    assert np.abs(opened(tmp_path / "print.jpg").pixels.astype(int) - np.asarray(colours)).max() < 12
    colours.convert("P").save(tmp_path / "palette.png")
    np.testing.assert_array_equal(
        opened(tmp_path / "palette.png").pixels, np.asarray(colours.convert("P").convert("RGB"))
    )
    deep = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    expected = np.rint(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(opened(tmp_path / "deep.png").pixels, np.stack([expected] * 3, axis=2))


@pytest.mark.parametrize("kind", ["jpg", "png", "tiff"])
def test_the_camera_s_rotation_is_obeyed(colours: Any, tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the orientation of a camera that was held upright
    path = tmp_path / f"upright.{kind}"
    colours.save(path, exif=exif)
    with Image.open(path) as picture:
        turned = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    found = opened(path).pixels
    np.testing.assert_array_equal(found, turned)
    assert found[0, :, 0].min() > 100, "red is on top now"


def test_the_first_frame_of_an_animation_is_taken_and_that_is_said(colours: Any, tmp_path: Path) -> None:
    colours.save(tmp_path / "moves.gif", save_all=True, append_images=[ImageOps.mirror(colours)])
    found = opened(tmp_path / "moves.gif")
    np.testing.assert_array_equal(found.pixels, np.asarray(colours))
    assert found.note == "the first of several frames"


def test_no_picture_is_told_from_a_damaged_one(colours: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert refused(tmp_path / "empty.png").startswith("empty.png is empty")
    (tmp_path / "letter.png").write_text("Dear reader")
    assert refused(tmp_path / "letter.png").startswith("letter.png is not a picture")
    colours.resize((200, 200)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    assert refused(tmp_path / "cut.jpg").startswith("cut.jpg is damaged")
    (tmp_path / "head.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "head.png" in refused(tmp_path / "head.png")


def test_formats_that_start_other_programs_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "page.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    assert refused(tmp_path / "page.eps").startswith("page.eps is not a picture")


def test_a_large_file_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(pictures.MOST_BYTES + 1)
    assert refused(tmp_path / "huge.png").startswith("huge.png has 20.0 MB, more than 20")


@pytest.mark.parametrize("side", [8_000, 12_000, 60_000])
def test_a_small_file_with_many_pixels_is_not_decoded(tmp_path: Path, side: int) -> None:
    """Above what is allowed here, above what Pillow warns of, and above what it refuses."""

    def chunk(name: Any, content: Any) -> Any:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert refused(tmp_path / "bomb.png").startswith("bomb.png has more than 50 million pixels")
