"""`notebook write`, and an execution of the whole notebook by Jupyter."""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.installation import PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


def test_the_written_notebook_trains_evaluates_and_exports(made: Any, tmp_path: Path) -> None:
    folder = tmp_path / "lesson"
    assert "train.ipynb" in made.atlasflow("notebook", "write", folder)
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    done = made.start(
        [PYTHON, "-m", "jupyter", "execute", "--output=done.ipynb", "train.ipynb"],
        folder=folder,
        PATH=f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
        IPYTHONDIR=str(tmp_path / "ipython"),
        **folders,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "results").iterdir()} == {
        "spec.json",
        "train",
        "evaluation",
        "mindir",
        "onnx",
    }
    cells = nbformat.read(folder / "done.ipynb", as_version=4).cells
    outputs = [out for cell in cells for out in cell.get("outputs", ())]
    printed = "".join(out.get("text", "") for out in outputs)
    shown = [out.get("data", {}) for out in outputs]
    assert sum("image/png" in data for data in shown) == 3, "the grid, the learning rates, the curves"
    assert re.search(r"flatten +Flatten +\(1, 400\)", printed)
    assert re.search(r"fc3\.bias +\(10,\) +10\n.*0\.061984 M", printed)
    assert re.search(r"[\d.]+ ms an image", printed)
    (table,) = (data["text/markdown"] for data in shown if "text/markdown" in data)
    assert re.match(r"\| batch size \| epochs .*\n.*\n\| \d+ \| 2 \|", table)
    assert "epoch: 2 step" in printed
    assert "Evaluation result: {'acc'" in printed
    assert "model.onnx: 200 images, largest logit difference" in printed


def test_a_folder_with_files_is_refused(made: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert "is not empty" in made.atlasflow("notebook", "write", tmp_path, code=2)
