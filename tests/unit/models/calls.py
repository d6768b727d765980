"""How tests call the boot file."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

MAIN = Path(__file__).parents[3] / "models" / "main.py"


SPEC = json.dumps({"epochs": 3, "batch_size": 20, "learning_rate": 0.02})


def train(run: Any, data: Any, folder: Any, spec: Any = SPEC, **options: Any) -> Any:
    return run("train", "--data_url", data, "--train_url", folder, "--spec", spec, **options)


def result(folder: Any) -> Any:
    return json.loads((folder / "result.json").read_text())


def evaluate(run: Any, data: Any, checkpoint: Any, output: Any) -> Any:
    return run("evaluate", "--data_url", data, "--checkpoint", checkpoint, "--spec", SPEC, "--output", output)


def msrun(folder: Any, *arguments: Any, seconds: int = 300) -> Any:
    """The boot file in two processes that train together; their logs are in `folder`."""
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
        timeout=seconds,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
    )
