"""Evaluation on corrupted images, in a process of its own, and its figures."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SPEC = json.dumps({"epochs": 1, "batch_size": 20})


SUMMARY = """
import json
from models.evaluation.robustness import summary
shares = {"clean": 0.9, "contrast-1": 0.8, "contrast-5": 0.6, "jpeg_compression-1": 0.5}
print(json.dumps(summary(shares, 40)))
"""


@pytest.mark.mindspore
def test_the_mean_corruption_error_is_a_mean_of_means(run: Any, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(SUMMARY)
    done = run(main=program)
    assert done.code == 0, done.errors
    found = json.loads(done.lines[-1])
    assert found["accuracy"] == {"contrast": {"1": 0.8, "5": 0.6}, "jpeg_compression": {"1": 0.5}}
    assert found["corruption_error"] == {"contrast": pytest.approx(0.3), "jpeg_compression": 0.5}
    assert found["mean_corruption_error"] == pytest.approx(0.4)
    assert (found["clean_accuracy"], found["images"]) == (0.9, 40)


@pytest.fixture(scope="module")
def trained(make_data: Any, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A data set and a checkpoint of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    data = make_data(folder / "data")
    done = run("train", "--data_url", data, "--spec", SPEC, "--train_url", folder / "made")
    assert done.code == 0, done.errors
    return data, folder / "made" / "checkpoint.ckpt"


@pytest.mark.mindspore
def test_each_set_is_classified_as_in_an_evaluation(trained: Any, run: Any, tmp_path: Path) -> None:
    data, checkpoint = trained
    for name in ("contrast/1", "contrast/5"):
        shutil.copytree(data / "eval", tmp_path / "corrupted" / name / "eval")
    dark = tmp_path / "corrupted" / "contrast" / "5" / "eval" / "test_batch.bin"
    records = np.fromfile(dark, np.uint8).reshape(-1, 3073)
    records[:, 1:] = 0
    records.tofile(dark)
    common = ("--data_url", data, "--spec", SPEC, "--checkpoint", checkpoint)
    plain = run("evaluate", *common, "--output", tmp_path / "plain")
    done = run("evaluate", *common, "--corrupted_url", tmp_path / "corrupted", "--output", tmp_path / "out")
    assert (plain.code, done.code) == (0, 0), done.errors
    assert [event["done"] for event in done.events("progress")] == [1, 2, 3]
    found = json.loads((tmp_path / "out" / "robustness.json").read_text())
    accuracy = json.loads((tmp_path / "plain" / "metrics.json").read_text())["accuracy"]
    assert found["clean_accuracy"] == found["accuracy"]["contrast"]["1"] == accuracy
    assert found["accuracy"]["contrast"]["5"] == 0.1  # one answer for all images, of ten equal classes
    with np.load(tmp_path / "out" / "predictions.npz") as answers:
        assert set(answers) == {"labels", "clean", "contrast-1", "contrast-5"}
        assert np.mean(answers["clean"] == answers["labels"]) == accuracy
        assert len(set(answers["contrast-5"])) == 1


@pytest.mark.mindspore
@pytest.mark.parametrize(("damage", "said"), [("none", "no corrupted images"), ("others", "differ from those of")])
def test_missing_or_other_images_are_refused(trained: Any, run: Any, tmp_path: Path, damage: str, said: str) -> None:
    data, checkpoint = trained
    target = tmp_path / "corrupted" / "contrast" / "1" / "eval" / "test_batch.bin"
    target.parent.mkdir(parents=True)
    if damage == "others":
        records = np.fromfile(data / "eval" / "test_batch.bin", np.uint8).reshape(-1, 3073)
        records[::-1].tofile(target)
    else:
        shutil.rmtree(tmp_path / "corrupted" / "contrast")
    common = ("--data_url", data, "--spec", SPEC, "--checkpoint", checkpoint, "--output", tmp_path / "out")
    done = run("evaluate", *common, "--corrupted_url", tmp_path / "corrupted")
    (error,) = done.events("error")
    assert said in error["message"]
    assert not (tmp_path / "out" / "robustness.json").exists()
