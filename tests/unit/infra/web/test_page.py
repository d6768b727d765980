import numpy as np
import pytest
from PIL import Image

from infra.errors import Transient
from infra.web import server
from infra.web.demo import Answer, Demo, Predictor
from infra.web.html import Judged

if not server.installed():
    pytest.skip("Gradio is not installed: make setup", allow_module_level=True)

from infra.web import page

PIXELS = np.zeros((4, 4, 3), np.uint8)


def away(_pixels):
    raise Transient("board b is away", hint="switch it on")


GOOD = Predictor("ONNX", lambda _: Answer((("cat", 0.75),), 1.0))
AWAY = Predictor(".om on b", away)


@pytest.fixture
def demo():
    return Demo("AtlasFlow", "", lambda picture: np.asarray(picture.convert("RGB")), [GOOD, AWAY], [], [])


def test_good_files_are_read_and_the_others_named(demo, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "good.png")
    (tmp_path / "bad.png").touch()
    pictures, problems = page.read(demo, [tmp_path / "bad.png", tmp_path / "good.png"])
    assert [picture.name for picture in pictures] == ["good.png"]
    np.testing.assert_array_equal(pictures[0].pixels, PIXELS)
    assert problems == ["bad.png is empty: take a PNG, JPEG, WebP, BMP, GIF or TIFF"]


def test_too_many_files_are_not_looked_at(demo, tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(page.MOST_PICTURES + 1)]  # none of them exists
    assert page.read(demo, paths) == ([], ["9 files are too many at once: drop up to 8"])


def test_each_answer_is_shown_as_it_comes_and_a_failure_in_its_place():
    picture = Judged("cat.png", PIXELS, answers=[(GOOD, "of before")])
    first, second, last = page.answered([picture], (), [GOOD, AWAY])
    assert "asking ONNX …" in first
    assert "Side by side" not in first
    assert "asking .om on b …" in second
    assert "75.0%" in second
    assert "board b is away" in last
    assert "asking" not in last


def test_whatever_a_runtime_raises_is_logged_and_the_others_still_answer(caplog):
    def broken(_pixels):
        raise RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT")

    *_, last = page.answered([Judged("cat.png", PIXELS)], (), [Predictor("reference", broken), GOOD])
    assert "reference could not answer this picture" in last
    assert "75.0%" in last
    assert "ONNXRuntimeError" not in last
    assert "ONNXRuntimeError" in caplog.text


def test_nobody_chosen_and_nothing_dropped():
    [said] = page.answered([Judged("cat.png", PIXELS)], (), [])
    assert "choose who answers" in said
    assert list(page.answered([], (), [GOOD])) == [page.EMPTY]
