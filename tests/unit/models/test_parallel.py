"""Two processes that share every batch, started as on a cluster."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = Path(__file__).parents[3] / "models" / "main.py"

pytestmark = [pytest.mark.mindspore, pytest.mark.slow]


def msrun(folder, *arguments):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binaries = Path(sys.executable).parent
    options = ("--worker_num=2", "--local_worker_num=2", f"--master_port={port}", f"--log_dir={folder}", "--join=True")
    return subprocess.run(
        [binaries / "msrun", *options, MAIN, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
    )


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "history.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_with_the_whole_batch(run, make_data, tmp_path):
    data = make_data(tmp_path / "data")
    spec = json.dumps({"epochs": 2, "batch_size": 20, "learning_rate": 0.02, "cutout": 4, "label_smoothing": 0.1})
    arguments = ("train", "--data_url", data, "--spec", spec, "--train_url")
    assert run(*arguments, tmp_path / "one").code == 0
    done = msrun(tmp_path / "logs", *arguments, tmp_path / "two")
    assert done.returncode == 0, done.stdout + done.stderr
    # Sums in another order: the difference grows from 1e-7 a step.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    events = [line for line in done.stdout.splitlines() if line.startswith("@atlasflow")]
    assert len(events) == 2  # one of the two speaks


def test_a_batch_that_cannot_be_shared_is_refused(make_data, tmp_path):
    data = make_data(tmp_path / "data")
    done = msrun(
        tmp_path / "logs",
        *("train", "--data_url", data, "--train_url", tmp_path / "out", "--spec", '{"epochs": 1, "batch_size": 25}'),
    )
    assert done.returncode != 0
    assert "batch_size: 25 cannot be shared by 2 devices" in done.stdout
