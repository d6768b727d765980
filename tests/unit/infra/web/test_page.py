from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from infra.errors import Transient
from infra.web import server
from infra.web.demo import Answer, Demo, Example, Predictor
from infra.web.html import ClassifiedPicture
from infra.web.pictures import MOST_PICTURES

# Tests import the page themselves: Gradio takes seconds, and every worker reads this file.
if not server.installed():
    pytest.skip("Gradio is not installed: make dev", allow_module_level=True)

PIXELS = np.zeros((4, 4, 3), np.uint8)


def away(_pixels: Any) -> Answer:
    raise Transient("board b is away", hint="switch it on")


GOOD = Predictor("ONNX", lambda _: Answer((("cat", 0.75),), 1.0))
AWAY = Predictor(".om on b", away)


@pytest.fixture
def demo() -> Any:
    return Demo("AtlasFlow", "", lambda picture: np.asarray(picture.convert("RGB")), [GOOD, AWAY], [], [])


def test_good_files_are_read_and_the_others_named(demo: Any, tmp_path: Path) -> None:
    from infra.web import page

    Image.fromarray(PIXELS).save(tmp_path / "good.png")
    (tmp_path / "bad.png").touch()
    pictures, problems = page.read(demo, [tmp_path / "bad.png", tmp_path / "good.png"], tmp_path)
    assert [picture.name for picture in pictures] == ["good.png"]
    np.testing.assert_array_equal(pictures[0].pixels, PIXELS)
    assert problems == ["bad.png is empty: take a PNG, JPEG, WebP, BMP, GIF or TIFF"]


def test_too_many_files_are_not_looked_at(demo: Any, tmp_path: Path) -> None:
    from infra.web import page

    paths = [tmp_path / f"{index}.png" for index in range(MOST_PICTURES + 1)]  # none of them exists
    assert page.read(demo, paths, tmp_path) == ([], ["9 files are too many at once: drop up to 8"])


def test_each_answer_is_shown_as_it_comes_and_a_failure_in_its_place() -> None:
    from infra.web import page

    picture = ClassifiedPicture("cat.png", PIXELS, answers=[(GOOD, "of before")])
    first, second, last = page.answered([picture], (), [GOOD, AWAY])
    assert "asking ONNX …" in first
    assert "Side by side" not in first
    assert "asking .om on b …" in second
    assert "75.0%" in second
    assert "board b is away" in last
    assert "asking" not in last


def test_whatever_a_runtime_raises_is_logged_and_the_others_still_answer(caplog: pytest.LogCaptureFixture) -> None:
    from infra.web import page

    def broken(_pixels: Any) -> Answer:
        raise RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT")

    *_, last = page.answered([ClassifiedPicture("cat.png", PIXELS)], (), [Predictor("reference", broken), GOOD])
    assert "reference could not answer this picture" in last
    assert "75.0%" in last
    assert "ONNXRuntimeError" not in last
    assert "ONNXRuntimeError" in caplog.text


def test_nobody_chosen_and_nothing_dropped() -> None:
    from infra.web import page

    [said] = page.answered([ClassifiedPicture("cat.png", PIXELS)], (), [])
    assert "choose who answers" in said
    assert list(page.answered([], (), [GOOD])) == [page.EMPTY]


TOKEN = "a-token"


def events(client: TestClient, number: int, data: list[object], **more: object) -> str:
    """What the page is sent after an event: its HTML, or an error."""
    request = {"data": data, "fn_index": number, "session_hash": "me", **more}
    answer = client.post("/gradio_api/queue/join", json=request)
    if answer.status_code != 200:
        return answer.text
    with client.stream("GET", "/gradio_api/queue/data?session_hash=me") as stream:
        lines = []
        for line in stream.iter_lines():
            lines.append(line)
            if "close_stream" in line:
                break
    return "\n".join(lines)


@pytest.mark.filterwarnings("ignore")  # Gradio's own
def test_a_whole_page_answers_uploaded_files_and_no_other_of_the_machine(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    demo = replace(demo, examples=[Example(PIXELS, "cat")])
    secret, picture = tmp_path / "secret.png", tmp_path / "mine.png"
    for path in (secret, picture):
        Image.fromarray(PIXELS).save(path)
    application = server.application(demo, "127.0.0.1", TOKEN, uploads)
    with TestClient(application, base_url="http://127.0.0.1:7860") as client:
        assert client.get("/config").status_code == 401
        assert client.get(f"/?token={TOKEN}").status_code == 200
        assert client.get("/config", headers={"Origin": "http://127.0.0.1:1"}).status_code == 403
        assert client.get("/config", headers={"Host": "other.example"}).status_code == 400
        [uploaded] = client.post("/gradio_api/upload", files={"files": ("mine.png", picture.read_bytes())}).json()
        file = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
        assert "mine.png" in events(client, 0, [[file], ["ONNX"]])
        for elsewhere in ("/dev/zero", str(secret), "/proc/self/environ"):
            assert events(client, 0, [[{**file, "path": elsewhere}], ["ONNX"]]).endswith("was not uploaded")
        assert "example 1" in events(client, 1, [["ONNX"]], event_data={"index": 0, "value": 0})
        for index in (-1, 10**30, "0", None):
            said = events(client, 1, [["ONNX"]], event_data={"index": index, "value": 0})
            assert "there is no such example" in said
