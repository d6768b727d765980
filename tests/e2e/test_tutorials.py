"""The pages of docs/tutorials: their commands, as they stand, against the stand-ins."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
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
    (tmp_path / "docs").symlink_to(CHECKOUT / "docs")
    environment = {
        **os.environ,
        "PATH": f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}",
        "ATLASFLOW_HOME": str(tmp_path / "home"),
    }
    yield environment
    subprocess.run([COMMAND, "down"], env=environment, check=True, capture_output=True)


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.zh-CN.md")))
def test_both_languages_have_the_same_commands(page: str) -> None:
    assert commands(page) == commands(page.replace(".zh-CN", ""))


@pytest.mark.slow
@pytest.mark.mindspore
@pytest.mark.service
def test_the_training_job(shell: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-euc", commands("training-job.md")],
        env=shell,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
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
