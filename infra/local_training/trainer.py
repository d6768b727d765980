"""Run `models/main.py` on this machine, each command in a process of its own."""

import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.local_training import protocol
from infra.ports.training import TrainJob
from infra.ports.values import Lines, Producer
from infra.program import run_program
from infra.store.atomic import write_text

NAME = "mindspore-cpu"
"""Who makes the bytes, in receipts."""
MAIN = CHECKOUT / "models" / "main.py"
# With the first, the program ends itself when its standard input closes, so it never outlives us.
_ENVIRONMENT = {"ATLASFLOW_EXIT_WITH_STDIN": "1", "PYTHONUNBUFFERED": "1"}


def run_model(
    command: Literal["train", "evaluate", "export", "profile", "describe"],
    arguments: Mapping[str, str],
    lines: Lines,
    log: Path | None = None,
    *,
    main: Path = MAIN,
    seconds: float | None = None,
) -> None:
    """Run one command of `models/main.py` to its end.

    Args:
        command: what to do.
        arguments: option names without dashes to values.
        lines: receives every line as it comes, event lines included (`protocol.event` reads those).
        log: file to which the lines are appended too.
        main: the program.
        seconds: time limit.

    Raises:
        UserError, Refused, Corrupt: as the program says.
        Transient: as the program says, or it was killed or took too long.
        AtlasFlowError: it broke; the message quotes its last lines.
    """
    if not main.is_file():
        raise UserError(f"there is no {main}", hint="run from a whole checkout")
    last_error: Mapping[str, object] | None = None

    def receive(line: str) -> None:
        nonlocal last_error
        event = protocol.event(line)
        if event is not None and event["event"] == "error":
            last_error = event
        lines(line)

    options = [f"--{name}={value}" for name, value in arguments.items()]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    finished = run_program(
        [sys.executable, str(main), command, *options],
        lines=receive,
        environment=_ENVIRONMENT,
        log=log,
        seconds=seconds,
    )
    if finished.code != 0:
        raise protocol.failure(f"models/main.py {command}", finished.code, last_error, finished.tail)


def processor() -> dict[str, str]:
    """What of this machine changes the bytes of a training: sums are split over the cores, so 1 and 2 differ."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"architecture": platform.machine(), "cores": str(cores)}


class LocalTrainer:
    """Trains on this machine's CPU: the port `Trainer`."""

    def __init__(self, main: Path = MAIN) -> None:
        self._main = main

    def producer(self) -> Producer:
        """MindSpore on this kind of CPU; the version is read without importing it.

        Raises:
            UserError: MindSpore is not installed.
        """
        try:
            version = importlib.metadata.version("mindspore")
        except importlib.metadata.PackageNotFoundError as error:
            raise UserError("MindSpore is not installed", hint="run `make setup`") from error
        return Producer(NAME, version, emulated=False, details=processor())

    def train(self, job: TrainJob, lines: Lines) -> None:
        """Train, or go on from the last checkpoint in `job.folder`; `spec.json` and `train.log` lie there too."""
        if not job.data.is_dir():
            raise UserError(f"the training data {job.data} is not a folder", hint="run the download stage first")
        spec = job.folder / "spec.json"
        write_text(spec, json.dumps(job.spec, indent=1, sort_keys=True))
        arguments = {"data_url": str(job.data), "train_url": str(job.folder), "spec": str(spec)}
        if job.pretrained is not None:
            arguments["pretrain_url"] = str(job.pretrained.path)
        run_model("train", arguments, lines, job.folder / "train.log", main=self._main)
