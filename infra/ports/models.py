"""The port to the programs of `models/main.py` that are not a training."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from infra.local_training.answer_process import Answering

ModelCommand = Literal["evaluate", "export", "profile", "describe"]


class ModelPrograms(Protocol):
    """Runs commands of `models/main.py` on this machine."""

    def run(self, command: ModelCommand, arguments: Mapping[str, str], log: Path) -> None:
        """Run a command to its end.

        Args:
            command: what to run.
            arguments: option names without dashes to values.
            log: file that receives every line.

        Raises:
            UserError, Refused, Corrupt, Transient: by the program's exit code.
        """
        ...

    def answering(self, checkpoint: Path, spec: Mapping[str, object]) -> "Answering":
        """A process that keeps a checkpoint loaded and answers images; it is not started yet."""
        ...
