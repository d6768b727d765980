"""SIGKILL of the installed command in a real training: the training ends too, and the next run goes on with it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.home import CHECKOUT
from infra.local_training.trainer import LocalTrainer
from infra.ports.training import TrainJob
from infra.settings import load
from infra.store.digests import file_digest
from tasks.specs import recipe_settings
from tests.resilience import archive

COMMAND = Path(sys.executable).with_name("atlasflow")
EPOCH = re.compile(r"epoch +(\d+)/")
EPOCHS = 40  # a tiny epoch takes some 30 ms, so that a kill after the first comes long before the last


@contextmanager
def started(*words: Any, home: Any) -> Iterator[Any]:
    """The command, running, in a home of its own."""
    environment = {**os.environ, "ATLASFLOW_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(
        [COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=CHECKOUT
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Any]:
    yield tmp_path / "home"
    with started("down", home=tmp_path / "home") as process:
        assert process.wait() == 0, process.stdout.read()


@pytest.mark.slow
@pytest.mark.mindspore
def test_a_killed_training_goes_on(home: Any, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.tar.gz"
    archive.write_tiny_archive(tiny)
    overrides = archive.overrides(tiny, EPOCHS)
    words = [
        "run",
        "--stage=download",
        "--stage=train",
        *(f"--set={name}={value}" for name, value in overrides.items()),
    ]
    with started(*words, home=home) as process:
        assert next(epochs(process.stdout), None) == 1
        family = psutil.Process(process.pid).children(recursive=True)
        [training] = [child for child in family if any("main.py" in word for word in child.cmdline())]
        process.kill()
        _, alive = psutil.wait_procs([training], timeout=30)
        assert not alive, "the training outlived the command"
    assert not list((home / "receipts").glob("train/*"))
    with started(*words, home=home) as process:
        seen = list(epochs(process.stdout))
        assert process.wait() == 0
    assert seen == list(range(seen[0], EPOCHS + 1))
    assert seen[0] > 1, "the second run began again"
    data = home / "latest" / "download" / "cifar10"
    spec = recipe_settings(load(overrides=overrides))
    LocalTrainer().train(TrainJob("0" * 64, data, spec, tmp_path / "undisturbed"), lambda _event: None)
    expected = file_digest(tmp_path / "undisturbed" / "checkpoint.ckpt")
    assert file_digest(home / "latest" / "train" / "checkpoint.ckpt") == expected


def epochs(lines: Any) -> Any:
    """The numbers of the epochs that lines tell of, as they come."""
    return (int(match[1]) for match in map(EPOCH.search, lines) if match)
