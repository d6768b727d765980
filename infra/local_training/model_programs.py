"""The commands of `models/main.py` on this machine: the port `ModelPrograms`."""

import json
from collections.abc import Mapping
from pathlib import Path

from infra.local_training.answer_process import AnswerProcess
from infra.local_training.trainer import run_model
from infra.ports.models import ModelCommand


class LocalModelPrograms:
    """Runs each command in its own process.

    Args:
        network: the file of a network of one's own.
    """

    def __init__(self, network: Path | None = None) -> None:
        self._network = network

    def run(self, command: ModelCommand, arguments: Mapping[str, str], log: Path) -> None:
        """Run a command to its end."""
        run_model(command, arguments, log=log, network=self._network)

    def load(self, checkpoint: Path, spec: Mapping[str, object]) -> AnswerProcess:
        """Prepare a process for a checkpoint; its first question, or `start`, starts it."""
        arguments = {"checkpoint": str(checkpoint), "spec": json.dumps(dict(spec), sort_keys=True)}
        return AnswerProcess(arguments, network=self._network)
