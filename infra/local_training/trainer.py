"""Run `models/main.py` on this machine, each command in its own process."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.local_training import protocol
from infra.local_training.producer import local_producer
from infra.local_training.protocol import ProgramError, ProgramEvent
from infra.ports.training import Epoch, LogLine, OnEvent, TrainJob
from infra.ports.values import Producer
from infra.program import run_program
from infra.store.atomic import write_text

MAIN = CHECKOUT / "models" / "main.py"
# With the first variable, the program exits when its standard input closes, so it never outlives this process.
_ENVIRONMENT = {"ATLASFLOW_EXIT_WITH_STDIN": "1", "PYTHONUNBUFFERED": "1"}


def run_model(
    command: Literal["train", "evaluate", "export", "profile", "describe", "step", "rates"],
    arguments: Mapping[str, str],
    on_event: OnEvent = lambda _event: None,
    log: Path | None = None,
    *,
    main: Path = MAIN,
    seconds: float | None = None,
    network: Path | None = None,
) -> None:
    """Run one command of `models/main.py` to its end.

    Args:
        command: what to run.
        arguments: option names without dashes to values.
        on_event: receives epochs and log lines as they come.
        log: file to which every line is appended.
        main: the program.
        seconds: time limit.
        network: the file of a network of one's own.

    Raises:
        UserError, Refused, Corrupt: the program reports it.
        Transient: the program reports it, was killed, or reached the time limit.
        AtlasFlowError: the program crashed; the message quotes its last lines.
    """
    if not main.is_file():
        raise UserError(f"{main} is missing", hint="run from a complete checkout")
    last_error: ProgramError | None = None

    def receive(line: str) -> None:
        nonlocal last_error
        event: ProgramEvent | LogLine = protocol.parse(line)
        if isinstance(event, ProgramError):
            last_error = event
        elif isinstance(event, Epoch | LogLine):
            on_event(event)

    options = [f"--{name}={value}" for name, value in arguments.items()]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    finished = run_program(
        [sys.executable, str(main), command, *options],
        on_line=receive,
        environment={**_ENVIRONMENT, **network_environment(network)},
        log=log,
        seconds=seconds,
    )
    if finished.code != 0:
        raise protocol.failure(f"models/main.py {command}", finished.code, last_error, finished.tail)


def network_environment(network: Path | None) -> dict[str, str]:
    """The variable that tells `models/networks/own.py` where the file of a network of one's own is."""
    return {} if network is None else {"ATLASFLOW_NETWORK_FILE": str(network.absolute())}


class LocalTrainer:
    """Trains on this machine's CPU: the port `Trainer`."""

    def __init__(self, main: Path = MAIN, *, network: Path | None = None) -> None:
        self._main = main
        self._network = network

    def producer(self) -> Producer:
        """MindSpore on this kind of CPU.

        Raises:
            UserError: MindSpore is not installed.
        """
        return local_producer()

    def train(self, job: TrainJob, on_event: OnEvent) -> None:
        """Train, or resume from the last checkpoint in `job.folder`; writes `spec.json` and `train.log` there too."""
        if not job.data.is_dir():
            raise UserError(f"the training data {job.data} is not a folder", hint="run the download stage first")
        spec = job.folder / "spec.json"
        write_text(spec, json.dumps(job.spec, indent=1, sort_keys=True))
        arguments = {"data_url": str(job.data), "train_url": str(job.folder), "spec": str(spec)}
        if job.pretrained is not None:
            arguments["pretrain_url"] = str(job.pretrained.path)
        run_model("train", arguments, on_event, job.folder / "train.log", main=self._main, network=self._network)
