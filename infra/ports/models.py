"""The port to the commands of `models/main.py` other than training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

ModelCommand = Literal["evaluate", "export", "profile", "describe", "step", "rates"]


class LoadedCheckpoint(Protocol):
    """A checkpoint that a process keeps loaded to classify images."""

    def start(self) -> None:
        """Start the process unless it runs; return before it is ready."""
        ...

    def ask(self, pixels: bytes) -> tuple[list[float], float]:
        """Return the logits of an image (uint8 [image_size, image_size, 3], RGB), and the inference's milliseconds.

        Raises:
            UserError, Refused, Corrupt: the program reports it.
            Transient: it was killed or takes too long; the next question starts it anew.
        """
        ...

    def close(self) -> None:
        """End the process."""
        ...


class ModelPrograms(Protocol):
    """Runs commands of `models/main.py` on this machine."""

    def run(self, command: ModelCommand, arguments: Mapping[str, str], log: Path) -> None:
        """Run a command to its end.

        Args:
            command: what to run.
            arguments: option names without dashes to values.
            log: file to which every line is appended.

        Raises:
            UserError, Refused, Corrupt, Transient: by the program's exit code.
        """
        ...

    def load(self, checkpoint: Path, spec: Mapping[str, object]) -> LoadedCheckpoint:
        """Prepare a process for a checkpoint; its first question, or `start`, starts it."""
        ...
