"""The programs of `models/main.py` on this machine: the port `ModelPrograms`."""

import json
from collections.abc import Mapping
from pathlib import Path

from infra.local_training.answer_process import Answering
from infra.local_training.trainer import run_model
from infra.ports.models import ModelCommand


class LocalModelPrograms:
    """Runs each command in a process of its own."""

    def run(self, command: ModelCommand, arguments: Mapping[str, str], log: Path) -> None:
        """Run a command to its end."""
        run_model(command, arguments, lambda _line: None, log)

    def answering(self, checkpoint: Path, spec: Mapping[str, object]) -> Answering:
        """A process that answers images with a checkpoint; it is not started yet."""
        return Answering({"checkpoint": str(checkpoint), "spec": json.dumps(dict(spec), sort_keys=True)})
