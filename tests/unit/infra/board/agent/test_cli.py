"""The agent as the board runs it: a program in a release folder."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infra.atc.emulator.om import pack_om
from models import preprocess
from tests import boards
from tests.cifar10 import CLASSES

pytestmark = pytest.mark.program

FAILING_ACL = """
import acl_stand_in as _real
globals().update((name, getattr(_real, name)) for name in dir(_real) if not name.startswith("_"))

class _Rt:
    def __getattr__(self, name):
        return getattr(_real.rt, name)
    def {function}(self, *arguments):
        return {answer}

rt = _Rt()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return boards.release_folder(tmp_path_factory.mktemp("board") / "release")


def answer(finished: Any) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_smoke_passes(folder: Any) -> None:
    result = answer(boards.run_agent(folder, "smoke", "--json"))
    assert (result["images"], result["agreement"]) == (8, 1.0)
    assert result["max_difference"] <= result["tolerance"] == 1e-3
    said = boards.run_agent(folder, "smoke").stdout
    assert said.startswith("smoke test passed: 8 images, 100% agree")


@pytest.mark.parametrize("wrong", [0.01, -5.0, float("nan")])
def test_smoke_fails_on_other_logits(tmp_path: Path, wrong: Any) -> None:
    folder = boards.release_folder(tmp_path / "r", wrong=wrong)
    finished = boards.run_agent(folder, "smoke", "--json")
    assert finished.returncode == 3
    assert "smoke test failed" in json.loads(finished.stdout)["error"]["message"]
    assert "smoke test failed" in boards.run_agent(folder, "smoke").stderr


def test_smoke_detects_swapped_colours(tmp_path: Path) -> None:
    """A board that feeds BGR to a network trained on RGB must not pass (docs/reference/pitfalls.md §8.1)."""
    folder = boards.release_folder(tmp_path / "r")
    description = json.loads((folder / "release.json").read_text())
    description["normalisation"]["order"] = "BGR"
    (folder / "release.json").write_text(json.dumps(description))
    assert boards.run_agent(folder, "smoke").returncode == 3


def test_info(folder: Any) -> None:
    result = answer(boards.run_agent(folder, "info", "--json"))
    assert result["release"] == "first"
    assert result["stand_in"] is True
    assert result["input"] == {"type": "float32", "dims": [1, 3, 32, 32], "layout": "NCHW"}
    assert (result["batches"], result["run_mode"]) == ([1], "device")
    assert "stand_in: True" in boards.run_agent(folder, "info").stdout


@pytest.mark.parametrize("mode", ["device", "host"])
def test_classify_in_the_tutorial_s_words(folder: Any, tmp_path: Path, mode: str) -> None:
    picture = boards.picture(tmp_path / "p.png")
    finished = boards.run_agent(
        folder, "classify", "--output", tmp_path / "out", picture, environment={"ATLASFLOW_ACL_RUN_MODE": mode}
    )
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    pixels = np.asarray(Image.open(picture))[np.newaxis]
    expected = preprocess.best(boards.logits(pixels, boards.weights()), CLASSES)
    assert lines[:2] == [f"images:{picture}", "======== top5 inference results: ============="]
    for (label, probability), line in zip(expected, lines[2:7], strict=True):
        number = CLASSES.index(label)
        assert line == f"label:{number}  confidence: {probability:.6f}, class: {label}"
    assert lines[8] == f"written to {tmp_path / 'out' / 'p.png'}"


def test_classify_a_folder_with_the_class_on_the_pictures(folder: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("b.jpg", "a.PNG", ".hidden.png", "notes.txt"):
        Image.fromarray(boards.images(1)[0]).resize((80, 60)).save(data / name, "JPEG" if "jpg" in name else "PNG")
    options = ("classify", "--output", tmp_path / "outputs", "--caption", "inside")
    shown = boards.run_agent(folder, *options, data).stdout.splitlines()
    assert [line for line in shown if line.startswith("images:")] == [f"images:{data}/a.PNG", f"images:{data}/b.jpg"]
    said = answer(boards.run_agent(folder, *options, "--json", data))["pictures"]
    assert [len(found["top"]) for found in said] == [5, 5]
    for name, form in (("a.png", "PNG"), ("b.jpg", "JPEG")):
        with Image.open(tmp_path / "outputs" / name) as written:
            assert (written.size, written.format) == ((80, 60), form)
    (tmp_path / "none").mkdir()
    refused = boards.run_agent(folder, "classify", tmp_path / "none")
    assert (refused.returncode, "there is no picture in" in refused.stderr) == (2, True)


def test_dynamic_batch_equals_single_images(tmp_path: Path) -> None:
    single = boards.release_folder(tmp_path / "single")
    dynamic = boards.release_folder(tmp_path / "dynamic", gears=(1, 2, 4))
    assert answer(boards.run_agent(dynamic, "info", "--json"))["batches"] == [1, 2, 4]
    one, two = (answer(boards.run_agent(folder, "smoke", "--json")) for folder in (single, dynamic))
    assert one["max_difference"] == pytest.approx(two["max_difference"], abs=1e-5)


def test_pixels_go_in_as_they_are_when_the_model_has_aipp(tmp_path: Path) -> None:
    """An `.om` with AIPP takes uint8 NHWC (docs/reference/pitfalls.md §8.32)."""
    from dataclasses import replace

    from onnx import TensorProto, helper, numpy_helper

    folder = boards.release_folder(tmp_path / "r")
    matrix = boards.weights()
    planes = preprocess
    scale = (1 / (255 * np.array(planes.CIFAR10.std))).astype(np.float32).reshape(1, 3, 1, 1)
    shift = (-np.array(planes.CIFAR10.mean) / np.array(planes.CIFAR10.std)).astype(np.float32).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Mul", ["planes", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift"], ["normal"]),
            helper.make_node("Flatten", ["normal"], ["flat"]),
            helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        ],
        "aipp",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 32, 32, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(a, n) for a, n in ((scale, "scale"), (shift, "shift"), (matrix, "matrix"))],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=4)
    model = boards.linear_om(matrix)
    pixels = replace(model.inputs[0], dtype=4, dims=(1, 32, 32, 3), format=1, size=3072)
    (folder / "model.om").write_bytes(pack_om(replace(model, inputs=(pixels,), onnx=network.SerializeToString())))
    assert answer(boards.run_agent(folder, "smoke", "--json"))["agreement"] == 1.0
    assert answer(boards.run_agent(folder, "info", "--json"))["input"]["layout"] == "NHWC"


@pytest.mark.parametrize("name", ["release.json", "smoke/images.npy", "smoke/logits.npy", "model.om"])
@pytest.mark.parametrize("damage", ["missing", "empty", "torn"])
def test_a_damaged_release_is_not_reported_as_a_wrong_one(tmp_path: Path, name: str, damage: str) -> None:
    folder = boards.release_folder(tmp_path / "r")
    path = folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:-9])
    finished = boards.run_agent(folder, "smoke", "--json")
    assert finished.returncode == 6, finished.stdout
    assert "deploy the release again" in json.loads(finished.stdout)["error"]["hint"]
    assert "Traceback" not in finished.stderr


def test_a_model_for_another_chip_is_explained(tmp_path: Path) -> None:
    folder = boards.release_folder(tmp_path / "r", soc_version="Ascend310B4")
    finished = boards.run_agent(folder, "smoke")
    assert finished.returncode == 4
    assert "acl.mdl.load_from_file answered 507008: the model was compiled for another chip" in finished.stderr
    assert "--soc_version" in finished.stderr


def test_without_a_toolkit(folder: Any) -> None:
    finished = boards.run_agent(folder, "smoke", environment={"PYTHONPATH": ""})
    assert finished.returncode == 4
    assert "No module named 'acl'" in finished.stderr
    assert "set_env.sh" in finished.stderr


@pytest.mark.parametrize(
    ("function", "reply", "code", "word"),
    [
        ("malloc", "(0, 207001)", 5, "no memory left"),
        ("set_device", "207006", 4, "group HwHiAiUser"),
        ("memcpy", "507899", 5, "driver"),
        ("create_context", "(0, 107999)", 4, "107999"),
    ],
)
def test_codes_are_checked_explained_and_cleaned_up(
    tmp_path: Path, folder: Any, function: str, reply: str, code: int, word: str
) -> None:
    """Whatever fails, everything that was taken is given back: the same process could start again."""
    stand_in = tmp_path / "acl_stand_in"
    stand_in.symlink_to(boards.ACL / "acl")
    (tmp_path / "acl.py").write_text(FAILING_ACL.format(function=function, answer=reply))
    check = (
        "import acl_stand_in, atexit\n"
        "from acl_stand_in._world import WORLD\n"
        "from acl_stand_in._memory import MEMORY\n"
        "atexit.register(lambda: print('left', len(WORLD.handles), MEMORY.used, WORLD.initialised))\n"
    )
    (tmp_path / "sitecustomize.py").write_text(check)
    finished = boards.run_agent(folder, "smoke", environment={"PYTHONPATH": str(tmp_path)})
    assert finished.returncode == code, finished.stderr
    assert word in finished.stderr
    assert finished.stdout.splitlines()[-1] == "left 0 0 False"


def test_bench(folder: Any) -> None:
    result = answer(boards.run_agent(folder, "bench", "--json", "--runs", "20", "--batch", "3"))
    assert (result["runs"], result["batch"], result["emulated"]) == (20, 3, True)
    (device,) = result["devices"]
    whole = device["whole"]
    assert 0 < whole["least"] <= whole["p50"] <= whole["p90"] <= whole["p99"] <= whole["most"]
    parts = [device[part]["mean"] for part in ("upload", "compute", "download")]
    assert min(parts) > 0
    assert sum(parts) <= whole["mean"]
    assert result["images_a_second"] == pytest.approx(3000 / whole["mean"])
    assert "these numbers say nothing about a board" in boards.run_agent(folder, "bench", "--runs", "1").stdout
    assert boards.run_agent(folder, "bench", "--runs", "0").returncode == 2


def test_all_devices_of_a_card_share_the_pictures(folder: Any, tmp_path: Path) -> None:
    names = [boards.picture(tmp_path / f"{index}.png", index) for index in range(7)]
    arguments = ["classify", "--json", "--output", tmp_path / "out", *names]
    one = answer(boards.run_agent(folder, *arguments))["pictures"]
    two = answer(boards.run_agent(folder, *arguments, "--device", "all", environment={"ATLASFLOW_ACL_DEVICES": "3"}))
    for found in (*one, *two["pictures"]):
        found.pop("milliseconds")
    assert two["pictures"] == one
    measured = answer(
        boards.run_agent(
            folder, "bench", "--json", "--runs", "3", "--device", "2,0", environment={"ATLASFLOW_ACL_DEVICES": "3"}
        )
    )
    assert [device["device"] for device in measured["devices"]] == [2, 0]


@pytest.mark.parametrize(("devices", "words"), [("1", "there is no device 1; this card has 1"), ("some", "no devices")])
def test_devices_that_the_card_does_not_have(folder: Any, devices: str, words: str) -> None:
    finished = boards.run_agent(folder, "smoke", "--device", devices)
    assert finished.returncode == 2
    assert words in finished.stderr


def test_watch_classifies_each_picture_once(folder: Any, tmp_path: Path) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    boards.picture(pictures / "a.png", 1)
    boards.picture(pictures / "b.png", 2)
    (pictures / "c.jpg").write_bytes(b"no picture")
    (pictures / "notes.txt").write_text("not looked at")
    arguments = ["watch", "--json", "--interval", "0.01", "--looks", "3", pictures]
    finished = boards.run_agent(folder, *arguments)
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert lines[-1] == {"release": "first", "pictures": 3}
    assert [line["picture"].rsplit("/", 1)[1] for line in lines[:-1]] == ["a.png", "b.png", "c.jpg"]
    assert "error" in lines[2]
    written = sorted(path.name for path in (pictures / "outputs").iterdir() if not path.name.startswith("."))
    assert written == ["a.png", "answers.jsonl", "b.png", "seen.json"]
    (day,) = json.loads((pictures / "outputs" / "seen.json").read_text())["days"]
    assert (day["images"], day["skipped"]) == (2, 1)
    assert [day["class"][line["numbers"][0]] for line in lines[:2]] != [0, 0]
    assert sum(day["red"]) == sum(day["confidence"]) == sum(day["class"]) == 2
    boards.picture(pictures / "b.png", 3)  # a new picture under an old name
    again = boards.run_agent(folder, *arguments)
    assert [json.loads(line).get("picture") for line in again.stdout.splitlines()] == [str(pictures / "b.png"), None]


def test_watch_waits_until_a_picture_is_whole(folder: Any, tmp_path: Path) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    boards.picture(pictures / "a.png")
    finished = boards.run_agent(folder, "watch", "--looks", "1", pictures)
    assert (finished.returncode, finished.stdout) == (0, "")
    assert boards.run_agent(folder, "watch", tmp_path / "absent").returncode == 2


def test_watch_ends_at_sigterm_and_gives_everything_back(folder: Any, tmp_path: Path) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    boards.picture(pictures / "a.png")
    process = subprocess.Popen(
        [sys.executable, "-B", str(folder / "agent" / "main.py"), "watch", "--interval", "0.05", str(pictures)],
        env={"PYTHONPATH": str(boards.ACL)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "a.png" in process.stdout.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "stopped\n")
    assert time.monotonic() - began < 20


def test_all_pictures_broken(folder: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    finished = boards.run_agent(folder, "classify", tmp_path / "a.png", tmp_path / "absent.png")
    assert finished.returncode == 2
    assert finished.stdout.count("skipped") == 2
    assert len(answer(boards.run_agent(folder, "classify", "--json", tmp_path / "a.png"))["pictures"]) == 1
