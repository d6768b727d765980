"""People label pictures with the keyboard, and see the page on a phone."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.home import CHECKOUT
from infra.web import server
from tasks.dataset.labels import folder_of, labels

pytestmark = pytest.mark.skipif(not server.installed(), reason="Gradio is not installed: make dev")

# The page as the command serves it, with a predictor that needs no training.
SERVE = """
import json, sys
from pathlib import Path
from infra.web import server
from infra.web.demo import Answer, Demo, Example, Predictor
from models.preprocess import Contract
from tasks.dataset.labels import LabelQueue
from tasks.demo_labels import DemoLabels

home, source, names = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
guess = tuple(zip(names[:5], (0.41, 0.38, 0.11, 0.06, 0.04)))
predictor = Predictor("ONNX", lambda pixels: Answer(guess, 1.0))
contract = Contract(32)
labels = DemoLabels(LabelQueue(home, source, names), contract, predictor.answer)
examples = [Example(contract.image(contract.open(sys.argv[4])), names[0])]
page = Demo("AtlasFlow", "", contract.image, [predictor], examples, [("model", "none")], labels)
server.serve(page, "127.0.0.1", 0, "secret", lambda address: print(address, flush=True))
"""


def served(home: Path, source: Path, names: list[str], example: Path) -> Iterator[str]:
    for name in names:
        (source / name).mkdir(parents=True)
    for number, colour in enumerate(("red", "green", "blue")):
        folder_of(home, "porch").mkdir(parents=True, exist_ok=True)
        picture = folder_of(home, "porch") / f"0.{number}00000-1732870000-{number:016x}.png"
        Image.new("RGB", (60, 40), colour).save(picture)
    Image.new("RGB", (32, 32), "white").save(example)
    command = [sys.executable, "-c", SERVE, str(home), str(source), json.dumps(names), str(example)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.fixture
def few(tmp_path: Path) -> Iterator[str]:
    yield from served(tmp_path / "home", tmp_path / "photos", ["cat", "dog"], tmp_path / "example.png")


@pytest.fixture
def many(tmp_path: Path) -> Iterator[str]:
    names = [f"part {number}" for number in range(12)]
    yield from served(tmp_path / "home", tmp_path / "photos", names, tmp_path / "example.png")


def test_keys_label_skip_and_undo(few: str, page: Any, tmp_path: Path) -> None:
    page.goto(few)
    page.click("button[role=tab]:has-text('Label')")
    page.wait_for_selector("#label-picture:has-text('3 wait. The model says: cat 41%, dog 38%.')")
    assert page.locator("#label-classes button:visible").all_inner_texts() == ["1 cat", "2 dog"]
    page.keyboard.press("2")
    page.wait_for_selector("#label-picture:has-text('2 wait')")
    page.keyboard.press("u")
    page.wait_for_selector("#label-picture:has-text('3 wait')")
    assert not labels(tmp_path / "photos")
    page.keyboard.press("1")
    page.wait_for_selector("#label-picture:has-text('2 wait')")
    page.keyboard.press("9")  # no class has this key
    page.keyboard.press("s")
    page.wait_for_selector("#label-picture:has-text('the last one')")
    page.click("#label-2")
    page.wait_for_selector("#label-picture:has-text('No picture waits')")
    assert [(item.name, item.board) for item in labels(tmp_path / "photos")] == [("cat", "porch"), ("dog", "porch")]
    assert len(list((tmp_path / "photos" / "cat").iterdir())) == 1


def test_of_many_classes_the_probable_ones_have_keys(many: str, page: Any, tmp_path: Path) -> None:
    page.goto(many)
    page.click("button[role=tab]:has-text('Label')")
    page.wait_for_selector("#label-5:has-text('5 part 4')")
    page.click("#label-others input")
    page.click("li:has-text('part 11')")
    page.wait_for_selector("#label-picture:has-text('2 wait')")
    assert [item.name for item in labels(tmp_path / "photos")] == ["part 11"]


def test_bars_and_shares_are_there_on_a_phone(few: str, page: Any, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(few)
    page.click("#examples button")
    page.wait_for_selector("#result .side")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in (".track", ".share"):
        box = page.locator(f"#result .bar {part}").first.bounding_box()
        assert box["width"] > 40
        assert box["x"] + box["width"] <= 390
