import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from models.data.images import read_images
from models.preprocess import from_picture, normalise
from tests.unit.models.calls import SPEC, evaluate

pytestmark = pytest.mark.mindspore


def export(run: Any, trained: Any, style: Any, output: Any, *more: Any) -> Any:
    data, folder, _ = trained
    return run(
        *("export", "--data_url", data, "--checkpoint", folder / "checkpoint.ckpt"),
        *("--spec", SPEC, "--format", style, "--output", output, *more),
    )


@pytest.mark.parametrize(("style", "name"), [("mindir", "model.mindir"), ("onnx", "model.onnx")])
def test_an_export_computes_the_same_and_has_stable_bytes_in_any_folder(
    trained: Any, run: Any, tmp_path: Path, style: str, name: str
) -> None:
    for turn in ("one", "two with space ü 二"):
        done = export(run, trained, style, tmp_path / turn)
        assert done.code == 0, done.errors
    check = json.loads((tmp_path / "one" / "check.json").read_text())
    assert check["images"] == 20
    assert check["max_difference"] < 1e-4
    assert check["agreement"] == 1.0
    assert check["batch"] == "any"
    assert len(check["per_class"]) == 10
    logits = np.load(tmp_path / "one" / "logits.npy")
    assert (logits.shape, logits.dtype) == ((20, 10), np.float32)
    assert json.loads((tmp_path / "one" / "latency.json").read_text())["milliseconds"] > 0
    for file in (name, "check.json", "logits.npy"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two with space ü 二" / file).read_bytes()
    assert (tmp_path / "one" / name).stat().st_mode & 0o777 == 0o644


def test_onnx_has_the_promised_interface(trained: Any, run: Any, tmp_path: Path) -> None:
    data, _, _ = trained
    assert export(run, trained, "onnx", tmp_path).code == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [(item.name, item.shape[1:], item.type) for item in session.get_inputs()] == [
        ("image", [3, 32, 32], "tensor(float)")
    ]
    assert [(item.name, item.shape[1:]) for item in session.get_outputs()] == [("logits", [10])]
    images = normalise(read_images(data, "eval").pixels[:])
    together = session.run(None, {"image": images})[0]
    one = session.run(None, {"image": images[3:4]})[0]
    np.testing.assert_allclose(together[3:4], one, atol=1e-5)


@pytest.mark.parametrize("style", ["mindir", "onnx"])
def test_a_fixed_batch_computes_the_same_and_takes_nothing_else(
    trained: Any, run: Any, tmp_path: Path, style: str
) -> None:
    done = export(run, trained, style, tmp_path, "--batch", "8")
    assert done.code == 0, done.errors
    check = json.loads((tmp_path / "check.json").read_text())
    assert (check["batch"], check["agreement"]) == (8, 1.0)
    assert check["max_difference"] < 1e-4
    assert json.loads((tmp_path / "latency.json").read_text())["images"] == 8
    if style == "onnx":
        (image,) = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).get_inputs()
        assert image.shape == [8, 3, 32, 32]


def test_a_picture_file_gives_onnx_what_evaluation_saw(trained: Any, run: Any, tmp_path: Path) -> None:
    """From the picture through `preprocess.py` and ONNX Runtime to the logits of the evaluation."""
    data, folder, _ = trained
    assert export(run, trained, "onnx", tmp_path).code == 0
    assert evaluate(run, data, folder / "checkpoint.ckpt", tmp_path).code == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    with np.load(tmp_path / "predictions.npz") as file:
        expected = file["logits"]
    for index, pixels in enumerate(read_images(data, "eval").pixels[:5]):
        Image.fromarray(pixels).save(tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as picture:
            tensor = normalise(from_picture(picture, 32)[None])
        np.testing.assert_allclose(session.run(None, {"image": tensor})[0][0], expected[index], atol=1e-5)


def test_air_is_refused_without_ascend(trained: Any, run: Any, tmp_path: Path) -> None:
    refused = export(run, trained, "air", tmp_path)
    assert (refused.code, refused.events("error")[0]["kind"]) == (4, "refused")
    assert not (tmp_path / "model.air").exists()
