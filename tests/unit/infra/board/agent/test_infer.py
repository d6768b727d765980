"""`infer`: the logits of an array of images, and nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import preprocess
from tests import boards

pytestmark = pytest.mark.program


def run(folder: Any, images: Any, tmp_path: Path, *options: Any) -> Any:
    source, target = tmp_path / "images.npy", tmp_path / "logits.npy"
    if isinstance(images, np.ndarray):
        np.save(source, images)
    elif images is not None:
        source.write_bytes(images)
    return boards.run_agent(folder, "infer", *options, source, target), target


@pytest.mark.parametrize("gears", [(), (1, 4, 16)])
def test_the_logits_of_all_images_are_written_in_order(tmp_path: Path, gears: Any) -> None:
    folder = boards.release_folder(tmp_path / "release", gears=gears)
    pixels = boards.images(21)
    finished, target = run(folder, pixels, tmp_path, "--json")
    assert finished.returncode == 0, finished.stderr
    answer = json.loads(finished.stdout)
    assert (answer["release"], answer["images"]) == ("first", 21)
    assert answer["milliseconds"] > 0
    found = np.load(target)
    assert found.dtype == np.float32
    assert np.allclose(found, boards.logits(pixels, boards.weights()), atol=1e-4)


def test_images_of_another_size_are_resized_by_the_contract(tmp_path: Path) -> None:
    folder = boards.release_folder(tmp_path / "release")
    pixels = np.random.default_rng(3).integers(0, 256, (3, 48, 48, 3), np.uint8)
    finished, target = run(folder, pixels, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("3 images, ")
    expected = boards.logits(preprocess.resize(pixels, 32), boards.weights())
    assert np.allclose(np.load(target), expected, atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [None, b"no array", np.zeros((0, 32, 32, 3), np.uint8), np.zeros((2, 3, 32, 32), np.float32)],
    ids=["missing", "damaged", "empty", "planes"],
)
def test_other_arrays_than_images_are_refused(tmp_path: Path, images: Any) -> None:
    finished, target = run(boards.release_folder(tmp_path / "release"), images, tmp_path)
    assert finished.returncode == 2
    assert "images.npy" in finished.stderr
    assert not target.exists()
