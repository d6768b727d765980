"""Small data sets, and MindSpore in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cifar10 import CLASSES
from tests.unit.models.calls import MAIN, train
from tests.unit.models.forks import Forks


def write_data(folder: Path, *, train: int = 40, held_out: int = 20, seed: int = 7) -> Path:
    """A data set whose images are noise on a colour that tells the class, so that a network can learn it."""
    random = np.random.default_rng(seed)
    for name, count in [(f"train/data_batch_{i}.bin", train) for i in range(1, 6)] + [
        ("eval/test_batch.bin", held_out)
    ]:
        labels = np.arange(count) % 10
        colours = np.stack([labels * 25, 250 - labels * 25, labels * 7 % 10 * 25], axis=1)
        pixels = np.clip(colours[:, :, None] + random.integers(-30, 30, (count, 3, 1024)), 0, 255)
        records = np.concatenate([labels[:, None], pixels.reshape(count, -1)], axis=1).astype(np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES))
    return folder


@pytest.fixture(scope="session")
def make_data() -> Callable[..., Path]:
    return write_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


@dataclass(frozen=True)
class Ran:
    code: int
    lines: list[str]
    errors: str

    def events(self, name: str) -> list[dict[str, object]]:
        found = [json.loads(line.removeprefix("@atlasflow ")) for line in self.lines if line.startswith("@atlasflow ")]
        return [event for event in found if event["event"] == name]


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    process = Forks()
    yield process
    process.close()


@pytest.fixture(scope="session")
def run(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """Runs a program as in a process of its own: `run("train", "--spec", …)` is `models/main.py`, a path is a script.

    A call with variables of its own, or `fresh`, really starts a process; others are forks (see `forks.py`).
    """

    def runner(
        *arguments: object,
        main: Path = MAIN,
        environment: Mapping[str, str] | None = None,
        seconds: float = 300,
        fresh: bool = False,
    ) -> Ran:
        words = [*map(str, arguments)]
        folder = tmp_path_factory.mktemp("said")
        # Coverage starts with a process.
        if not (fresh or environment or "COVERAGE_PROCESS_CONFIG" in os.environ):
            code = forks.run(main, words, os.environ, folder, seconds)
            return Ran(code, (folder / "stdout").read_text().splitlines(), (folder / "stderr").read_text())
        done = subprocess.run(
            [sys.executable, str(main), *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": str(MAIN.parents[1]), **(environment or {})},
        )
        return Ran(done.returncode, done.stdout.splitlines(), done.stderr)

    return runner


@pytest.fixture(scope="session")
def kill_training() -> Callable[..., None]:
    """Starts a training and kills it after its first epoch."""

    def kill(data: Path, folder: Path, spec: str, *more: str | Path) -> None:
        process = subprocess.Popen(
            [sys.executable, MAIN, "train", "--data_url", data, "--train_url", folder, "--spec", spec, *more],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("@atlasflow") and '"epoch": 1' in line:
                break
        process.kill()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL

    return kill


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, make_data: Any, run: Any) -> Any:
    """One training of three epochs, in a process of its own; shared by all tests that only look at it."""
    folder = tmp_path_factory.mktemp("trained")
    data = make_data(folder / "data")
    done = train(run, data, folder / "out", fresh=True)
    assert done.code == 0, done.errors
    return data, folder / "out", done.lines
