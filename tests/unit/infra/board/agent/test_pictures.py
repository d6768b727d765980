from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.board.agent.pictures import annotate, caption_mask, save, write_on
from models.preprocess import open_picture
from tests import boards

TOP = [("automobile", 0.9312)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (32, 32), (3, 700), (900, 400)])
def test_any_picture_can_be_annotated(mode: str, size: Any) -> None:
    annotated = annotate(Image.new(mode, size), TOP)
    assert annotated.mode == "RGB"
    assert annotated.size[1] > size[1]


def test_the_text_can_be_read() -> None:
    """The bar below shows bright text on black, and the picture above is untouched but for its size."""
    source = Image.fromarray(boards.images(1)[0])
    annotated = annotate(source, TOP)
    assert np.array_equal(np.asarray(annotated)[:256], np.asarray(source.resize((256, 256), Image.Resampling.NEAREST)))
    bar = np.asarray(annotated)[256:]
    assert 0.02 < (bar > 128).mean() < 0.6
    other = np.asarray(annotate(source, [("ship", 0.5)]))[256:]
    assert other.shape != bar.shape or (other != bar).any()


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (3, 700), (900, 400)])
def test_the_class_is_written_on_a_picture_of_any_size(size: Any) -> None:
    grey = Image.new("RGB", size, (90, 90, 90))
    written = write_on(grey, TOP)
    assert written.size == size
    changed = np.asarray(written) != np.asarray(grey)
    assert changed.any()
    assert not changed[size[1] // 2 + 14 :].any(), "only the upper part"


def test_text_beyond_ascii_is_written_somehow() -> None:
    assert caption_mask("Flugzeug – 飞机", 16).size[1] == 16


def test_a_long_label_stays_inside() -> None:
    annotated = annotate(Image.new("RGB", (256, 256)), [("x" * 200, 1.0)])
    assert annotated.size[0] == 256


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x89PNG\r\n\x1a\n" + b"0" * 50])
def test_a_broken_file_raises(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(Exception, match=r"."):
        open_picture(str(path))


def test_names_do_not_collide(tmp_path: Path) -> None:
    taken: set[str] = set()
    picture = Image.new("RGB", (4, 4))
    folder = str(tmp_path / "out")
    names = [save(picture, folder, name, taken) for name in ("a/x.png", "b/x.png", "x.jpg", "x.PNG")]
    assert [name.rsplit("/", 1)[1] for name in names] == ["x.png", "x-2.png", "x.jpg.png", "x-3.png"]
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_names_stay_where_the_class_is_on_the_picture(tmp_path: Path) -> None:
    taken: set[str] = set()
    picture = Image.new("RGB", (4, 4))
    names = [save(picture, str(tmp_path), name, taken, True) for name in ("a/x.jpg", "x.jpg", "x.bmp", "y.JPEG")]
    assert [Path(name).name for name in names] == ["x.jpg", "x-2.jpg", "x.png", "y.JPEG"]
    starts = {"jpg": b"\xff\xd8\xff", "JPEG": b"\xff\xd8\xff", "png": b"\x89PN"}
    assert all(Path(name).read_bytes()[:3] == starts[name.rpartition(".")[2]] for name in names)


def test_a_name_that_no_client_would_fetch_is_changed(tmp_path: Path) -> None:
    picture = Image.new("RGB", (1, 1))
    assert Path(save(picture, str(tmp_path), "new\nline\\C:\x1b.png", set())).name == "new_line_C__.png"
