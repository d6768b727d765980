"""The demo page: the same answers as the evaluation's, and the page itself in a browser."""

import json
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from flows.context import open_chain
from infra.errors import UserError
from infra.web import server
from infra.web.pictures import MOST_BYTES
from models.preprocess import Contract, softmax
from tasks import demo
from tasks.engine.reporter import Silent
from tests.cifar10 import CLASSES
from tests.e2e.installation import COMMAND

pytestmark = pytest.mark.skipif(not server.installed(), reason="Gradio is not installed: make dev")


@pytest.fixture(scope="module")
def evaluated(untouched: Any) -> Any:
    """The evaluation's images, logits and classes, by the chain's own files."""
    untouched.settle()
    records = np.fromfile(untouched.tree("download", "data")["eval/test_batch.bin"], np.uint8).reshape(-1, 3073)
    images = np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    with np.load(untouched.output("evaluate", "predictions")) as file:
        return images, file["logits"], file["labels"]


def surest(evaluated: Any) -> Any:
    """The image of which the network is surest among those that it gets right."""
    _, logits, labels = evaluated
    right = np.flatnonzero(logits.argmax(axis=1) == labels)
    return int(right[softmax(logits[right]).max(axis=1).argmax()])


def test_every_predictor_answers_as_the_evaluation_did(
    made: Any, evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    chain = open_chain("local", {}, Silent())
    chain.look_at_all()
    images, logits, labels = evaluated
    onnx = made.folder / "latest" / "export" / "model.onnx"
    ours = demo.onnx_logits(onnx, Contract(32))
    for index in (0, 1, 2):
        np.testing.assert_allclose(ours(images[index]), logits[index], atol=1e-4)
    index = surest(evaluated)
    with demo.opened(chain, ["laptop"]) as shown:
        picture = Image.fromarray(images[index]).resize((32, 32))
        np.testing.assert_array_equal(shown.prepare(picture), images[index])
        assert [example.label for example in shown.examples] == [CLASSES[label] for label in np.unique(labels)]
        expected = softmax(logits[index])
        for predictor, tolerance in zip(shown.predictors, (1e-4, 1e-4, 0.01), strict=True):
            answer = predictor.answer(images[index])
            assert answer.top[0][0] == CLASSES[labels[index]], predictor.name
            assert len(answer.top) == 5
            assert answer.milliseconds > 0
            for label, share in answer.top:
                assert share == pytest.approx(expected[CLASSES.index(label)], abs=tolerance), predictor.name
        assert [predictor.emulated for predictor in shown.predictors] == [False, False, True]
        with pytest.raises(UserError, match="32 × 32 × 3"):
            shown.predictors[1].answer(images[index][:16])
    with (
        pytest.raises(UserError, match="there is no board 'lapdog'; did you mean 'laptop'"),
        demo.opened(chain, ["lapdog"]),
    ):
        pass


@contextmanager
def served(made: Any, *options: Any) -> Iterator[Any]:
    """The command with the page; it must end well on Ctrl-C, and leave nothing behind."""
    environment = made.environment() | {"TMPDIR": tempfile.mkdtemp(dir=made.user)}
    process = subprocess.Popen(
        [COMMAND, "demo", *options],
        env=environment,
        cwd=made.elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", said)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    try:
        assert address, said
        yield address[0]
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        process.stdout.close()
        code = process.wait(30)
    assert (code, rest.strip()) == (0, "demo: stopped")
    assert not any(psutil.pid_exists(pid) for pid in family)
    assert not list(Path(environment["TMPDIR"]).iterdir())
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(address[0]).port)) != 0


def upload(page: Any, *paths: Any) -> None:
    page.set_input_files("#upload input[type=file]", [str(path) for path in paths])


def rows(page: Any) -> Any:
    """The table of answers, once nobody is asked any more."""
    page.wait_for_selector("#result .side")
    page.wait_for_selector("#result .waiting", state="detached")
    return [row.locator("td").all_inner_texts() for row in page.locator("#result tbody tr").all()]


def test_a_picture_is_classified_in_the_browser(
    made: Any, evaluated: Any, page: Any, watch: Any, tmp_path: Path
) -> None:
    images, _, labels = evaluated
    index = surest(evaluated)
    truth = CLASSES[labels[index]]
    right, letter, many = tmp_path / "mine.png", tmp_path / "letter.jpg", [tmp_path / f"{n}.png" for n in range(9)]
    for path in (right, *many):
        Image.fromarray(images[index]).save(path)
    letter.write_text("Dear reader")
    with served(made) as address:
        page.goto(address)
        page.wait_for_selector("#examples img")
        assert page.title() == "AtlasFlow"
        upload(page, right)
        answers = rows(page)
        assert [row[:3] for row in answers] == [
            ["mine.png", who, truth]
            for who in ("ONNX (ONNX Runtime)", "checkpoint (MindSpore)", ".om on laptop (stand-in)")
        ]
        assert all(re.fullmatch(r"\d+\.\d%", row[3]) and float(row[4]) > 0 for row in answers)
        assert answers[2][5].endswith("stand-in: its latency has no meaning")
        assert page.locator("#result .bar").count() == 15

        upload(page, letter, right)
        page.wait_for_selector("#result .notice")
        assert page.inner_text("#result .notice").startswith("letter.jpg is not a picture")
        assert len(rows(page)) == 3
        upload(page, *many)
        page.wait_for_selector("#result .notice:has-text('9 files are too many at once')")

        page.uncheck("#chosen input >> nth=2")
        page.wait_for_selector("#result:has-text('Drop a picture')")
        page.click("#examples button >> nth=3")
        page.wait_for_selector("#result h3:has-text('example 4 (it is: cat)')")
        assert len(rows(page)) == 2

        checkpoint = next(row for row in made.status()["train"]["outputs"] if row["name"] == "checkpoint")
        metrics = json.loads((made.folder / "latest" / "evaluate" / "metrics.json").read_text())
        origin = page.inner_text("#provenance")
        assert checkpoint["sha256"] in origin
        assert f"{metrics['accuracy']:.4f} on 200 evaluation images (95 % Wilson interval" in origin
        assert "(a stand-in was involved)" in origin

        watch.expected += ["upload_progress", "^Response"]  # what Gradio writes of a file that it does not send
        with (tmp_path / "huge.png").open("wb") as file:
            file.truncate(MOST_BYTES + 1)
        upload(page, tmp_path / "huge.png")
        page.wait_for_selector("text=File(s) exceed the maximum allowed size of 20.0 Mb")

        assert_private(address)


def assert_private(address: Any) -> None:
    """Files of this machine, other sites' names for it, and uploads without measure are refused."""
    secret = Path(__file__)
    page, _, query = address.partition("?")
    with httpx.Client(base_url=page, trust_env=False, timeout=30, follow_redirects=True) as client:
        assert client.get("gradio_api/info").status_code == 401
        assert client.get(f"?{query}").status_code == 200
        for place in (secret, Path("/etc/passwd"), f"{tempfile.gettempdir()}/../etc/passwd"):
            assert client.get(f"gradio_api/file={place}").status_code in (403, 404)
        assert client.get("", headers={"Host": "other.example"}).status_code == 400
        huge = client.post("gradio_api/upload", files={"files": ("huge.png", bytes(MOST_BYTES + 1))})
        assert huge.status_code == 413
        assert client.get("gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
