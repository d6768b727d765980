"""The pages of docs/tutorials: their commands, as they stand, against the stand-ins."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import CHECKOUT
from tests.e2e.installation import COMMAND

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
