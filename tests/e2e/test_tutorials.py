"""The pages of docs/tutorials: their commands, as they stand, against the stand-ins."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT
from tests.e2e.installation import COMMAND, Installation

PAGES = CHECKOUT / "docs" / "tutorials"


def commands(page: str) -> str:
    """Return the shell commands of a page."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a reader with a home of their own, in a folder with the documentation."""
    for name in ("docs", "data"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    environment = {
        **os.environ,
        "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}",
        "ATLASFLOW_HOME": str(tmp_path / "home"),
    }
    yield environment
    subprocess.run([COMMAND, "down"], env=environment, check=True, capture_output=True)


def follow(page: str, shell: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the commands of a page in a folder."""
    done = subprocess.run(
        ["bash", "-euc", commands(page)], env=shell, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.zh-CN.md")))
def test_both_languages_have_the_same_commands(page: str) -> None:
    assert commands(page) == commands(page.replace(".zh-CN", ""))


@pytest.mark.slow
@pytest.mark.mindspore
@pytest.mark.service
def test_the_training_job(shell: dict[str, str], tmp_path: Path) -> None:
    done = follow("training-job.md", shell, tmp_path)
    assert re.search(r"epoch: 1 step: 312, loss is \d", done.stdout)
    assert re.search(r"epoch 1 cost time = [\d.]+, train step num: 312, one step time: [\d.]+ ms", done.stdout)
    accuracy = re.search(r"Start run evaluation.\nEvaluation result: \{'acc': ([\d.]+)\}", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.2, "twice as good as guessing"
    assert "it existed already, and is not paid for again" in done.stdout
    assert re.search(r"^parameter num_epochs +1$", done.stdout, re.MULTILINE)
    assert "Evaluation result" in (tmp_path / "lenet.log").read_text(encoding="utf-8")
    assert (tmp_path / "lenet-1_312.ckpt").stat().st_size > 61_984 * 4


@pytest.mark.slow
@pytest.mark.mindspore
@pytest.mark.service
@pytest.mark.skipif(shutil.which("scp") is None, reason="OpenSSH's client is not installed")
def test_to_the_board(untouched: Installation, tmp_path: Path) -> None:
    for name in ("docs", "data"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    done = untouched.start(["bash", "-euc", commands("to-the-board.md")], tmp_path, PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ATC run success, welcome to the next use." in done.stdout
    assert re.search(r"^1:export LD_LIBRARY_PATH=.*\n2:export PYTHONPATH=", done.stdout, re.MULTILINE)
    assert re.search(r"smoke test passed: \d+ images, (9[89]|100)% agree", done.stdout)
    names = sorted(picture.name for picture in (CHECKOUT / "data" / "pictures").iterdir())
    shown = re.findall(
        r"^images:./data/(.*)\n=+ top5 inference results: =+\n((?:label:.*\n){5})", done.stdout, re.MULTILINE
    )
    assert [name for name, _ in shown] == names
    confidences = [
        [float(text) for text in re.findall(r"confidence: ([\d.]+), class: [a-z]+", lines)] for _, lines in shown
    ]
    assert all(found == sorted(found, reverse=True) and 0 < sum(found) <= 1.00001 for found in confidences)
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == names


@pytest.mark.slow
@pytest.mark.mindspore
@pytest.mark.service
@pytest.mark.skipif(find_spec("aim") is None, reason="Aim is not installed")
def test_the_xihe_repository(shell: dict[str, str], tmp_path: Path) -> None:
    done = follow("xihe.md", shell, tmp_path)
    assert re.search(r"MindSpore 1\.x: this machine's MindSpore \S+ takes the place of mindspore==1\.6\.2", done.stdout)
    assert "MindSpore 1.x: typing is part of Python" in done.stdout
    assert len(re.findall(r"epoch: 1 step: 60, loss is \d", done.stdout)) == 2
    accuracies = re.findall(r"===Finish training=== \{'accuracy': ([\d.]+)\}", done.stdout)
    assert len(accuracies) == 2
    assert float(accuracies[1]) > 0.15, "better than guessing"
    assert (tmp_path / "out" / "best.ckpt").stat().st_size > 61_984 * 4
    assert (tmp_path / "evaluated" / "db" / ".aim").is_dir()
    assert "Finish training" in (tmp_path / "lenet.log").read_text(encoding="utf-8")
    assert re.search(r"Aim: started, http://127\.0\.0\.1:\d+/\?token=", done.stdout)
    shown = re.findall(
        r"^(airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck): (0\.\d{4})$", done.stdout, re.M
    )
    assert len(shown) == 10
    assert sum(float(value) for _, value in shown) == pytest.approx(1, abs=0.001)
    assert "batch_nums: no field of a recipe" in done.stdout
    assert "the engine has MindSpore 1.3" in done.stdout
    written = json.loads((tmp_path / "project" / "train" / "config_aim.json").read_text(encoding="utf-8"))
    assert (written["boot_file"], written["outputs"][0]["name"]) == ("lenet5_aim_cust.py", "output_url")
    assert {"name": "batch_nums", "value": "60"} in written["hypeparameters"]


@pytest.mark.slow
@pytest.mark.mindspore
@pytest.mark.service
@pytest.mark.skipif(find_spec("jupyterlab") is None, reason="the extra `notebook` is not installed")
def test_the_notebook(shell: dict[str, str], tmp_path: Path) -> None:
    done = follow("notebook.md", shell, tmp_path)
    assert re.search(r"lesson-1 +RUNNING .* http://127\.0\.0\.1:\d+/lab\?token=", done.stdout)
    assert re.search(r"^fetched: .*scripts/run_standalone_train\.sh.*train\.ipynb", done.stdout, re.MULTILINE)
    (work,) = (tmp_path / "home" / "modelarts" / "notebooks").glob("*/home/work")
    assert (work / "models" / "main.py").is_file()
    assert re.search(r"epoch: 1 step 156, loss is \d", done.stdout)
    assert re.search(r"^lenet-1_156\.ckpt$", done.stdout, re.MULTILINE)
    assert re.search(r"lesson-1 +STOPPED", done.stdout)
