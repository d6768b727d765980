"""A notebook for any Jupyter: its parts, and equal bytes for equal settings. `tests/e2e` executes one."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import psutil
import pytest

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.modelarts.notebook_file import write_notebook
from infra.processes import alive

SPEC: dict[str, object] = {"network": "lenet5", "epochs": 2, "learning_rate": 0.01, "crop": True, "weight_decay": None}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with code and its cache."""
    folder = tmp_path / "code"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "__pycache__" / "main.pyc").write_bytes(b"")
    (folder / "main.py").write_text("print('hello')\n")
    return folder


def write(folder: Path, code: Path, data: str = "data", files: Mapping[str, Path] | None = None) -> Path:
    return write_notebook(folder, "LeNet on a lesson's data", SPEC, code, data, files or {})


def test_it_is_written_with_code_and_data(tmp_path: Path, code: Path) -> None:
    images = tmp_path / "images.bin"
    images.write_bytes(b"images")
    path = write(tmp_path / "lesson", code, files={"train/batch.bin": images})
    files = {str(item.relative_to(path.parent)) for item in path.parent.rglob("*") if item.is_file()}
    scripts = {"train.py", "scripts/run_standalone_train.sh"}
    assert files == {"train.ipynb", "models/main.py", "data/train/batch.bin", *scripts}
    assert (path.parent / "data/train/batch.bin").read_bytes() == b"images"


def test_it_has_the_specification_and_the_address(tmp_path: Path, code: Path) -> None:
    notebook = nbformat.read(write(tmp_path / "lesson", code, "obs://lessons/cifar10/"), as_version=4)
    first, *rest = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    values = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(first).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    assert values == {"DATA": "obs://lessons/cifar10/", "RESULTS": "results", "SPEC": SPEC}
    for source in rest:
        ast.parse(source)
    titles = [cell.source.splitlines()[0] for cell in notebook.cells if cell.cell_type == "markdown"]
    assert titles == [
        "# LeNet on a lesson's data",
        "## Data",
        "## Learning rates",
        "## Network",
        "## Train",
        "## Parameters",
        "## Latency",
        "## Evaluate",
        "## Report",
        "## Export",
    ]


def test_equal_settings_write_equal_bytes(tmp_path: Path, code: Path) -> None:
    first, second = (write(tmp_path / name, code) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(first.read_text())["nbformat"] == 4


def test_a_folder_with_files_is_refused(tmp_path: Path, code: Path) -> None:
    with pytest.raises(UserError, match="is not empty"):
        write(code, tmp_path)


@pytest.fixture
def lesson(tmp_path: Path, code: Path) -> Path:
    """A written folder whose training prints what it gets, and writes what a training writes."""
    (code / "main.py").write_text(
        "import json, sys, pathlib\n"
        "options = dict(word[2:].split('=', 1) for word in sys.argv[2:])\n"
        "spec = json.loads(options['spec'])\n"
        "print('@atlasflow {}')\n"
        "print('training', spec['network'], spec['epochs'], spec['image_size'])\n"
        "print('files', *sorted(str(path) for path in pathlib.Path(options['data_url']).rglob('*.bin')))\n"
        "print('epoch 1 cost time = 1, train step num: 312, one step time: 1 ms')\n"
        "pathlib.Path(options['train_url']).mkdir(exist_ok=True)\n"
        "pathlib.Path(options['train_url'], 'checkpoint.ckpt').write_text('weights')\n"
    )
    for name in ("failures.py", "__init__.py", "spec", "networks"):
        source = CHECKOUT / "models" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, code / name)
    return write(tmp_path / "lesson", code).parent


def standalone(lesson: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the shell script in a folder of its own."""
    (lesson / "here").mkdir(exist_ok=True)
    command = ["bash", lesson / "scripts" / "run_standalone_train.sh", *words]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=lesson / "here", env=environment, capture_output=True, text=True, check=False)


def has_ended(process: int) -> bool:
    """True when a process has gone, or is a zombie."""
    try:
        return not alive(psutil.Process(process))
    except psutil.NoSuchProcess:
        return True


def test_the_shell_script_trains_in_the_background_and_names_the_checkpoint(lesson: Path, tmp_path: Path) -> None:
    flat = tmp_path / "cifar-10-batches-bin"
    flat.mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (flat / name).touch()
    started = standalone(lesson, "resnet50", "cifar10", flat, "--epochs=3")
    assert "tail -f train/log" in started.stdout
    log = lesson / "here" / "train" / "log"
    process = int((log.parent / "pid").read_text())
    assert f"process {process};" in started.stdout
    while not has_ended(process):
        time.sleep(0.02)
    assert log.read_text().splitlines() == [
        "training resnet50 3 224",
        "files data/eval/test_batch.bin data/train/data_batch_1.bin",
        "epoch 1 cost time = 1, train step num: 312, one step time: 1 ms",
        "checkpoint: train/ckpt_0/resnet-3_312.ckpt",
    ]
    assert (log.parent / "ckpt_0" / "resnet-3_312.ckpt").read_text() == "weights"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resnet50", "cifar10"], "Usage:"),
        (["resnet50", "imagenet2012", "."], "the data set imagenet2012 is unknown"),
        (["resnet50", "cifar10", "absent"], "DATA=absent is not a folder"),
    ],
)
def test_the_shell_script_says_what_is_wrong(lesson: Path, words: list[str], said: str) -> None:
    done = standalone(lesson, *words)
    assert (done.returncode, said in done.stdout) == (1, True), done.stdout
