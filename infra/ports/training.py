"""The port to a trainer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.ports.values import LocalFile, Producer


@dataclass(frozen=True)
class TrainJob:
    """One training to run.

    Attributes:
        key: the stage key, 64 hexadecimal digits; names the job.
        data: folder with `train/` and `eval/`.
        spec: the canonical training specification as JSON values.
        folder: receives checkpoints and results; kept after a kill, so that training resumes in it.
        data_address: `obs://bucket/prefix/` of the same data, for a remote trainer; the upload stage put it there.
        code_address: `obs://bucket/prefix/` of the folder with `main.py`, likewise.
        again: train anew, even when a finished training of this key exists.
        pretrained: a checkpoint to start from, `.ckpt` or `.safetensors`.
    """

    key: str
    data: Path
    spec: Mapping[str, object]
    folder: Path
    data_address: str = ""
    code_address: str = ""
    again: bool = False
    pretrained: LocalFile | None = None


@dataclass(frozen=True)
class Epoch:
    """The end of one training epoch.

    Attributes:
        epoch: its number, from 1.
        epochs: of the whole training.
        loss: mean training loss.
        step_ms: mean milliseconds a step.
        images_per_second: training throughput.
        accuracy: on the evaluation images, 0 to 1; None when this epoch was not evaluated.
    """

    epoch: int
    epochs: int
    loss: float
    step_ms: float
    images_per_second: float
    accuracy: float | None = None


@dataclass(frozen=True)
class JobStatus:
    """A change in the status of a remote job (submitted, queued, running, stopped), as a line to read."""

    text: str


@dataclass(frozen=True)
class LogLine:
    """Any other line of the training log."""

    text: str


TrainEvent = Epoch | JobStatus | LogLine
OnEvent = Callable[[TrainEvent], None]


class Trainer(Protocol):
    """Runs `models/main.py train`, here or elsewhere."""

    def producer(self) -> Producer:
        """What makes the bytes; equal for two trainings that give equal bytes."""
        ...

    def train(self, job: TrainJob, on_event: OnEvent) -> None:
        """Run or resume the job until its results are complete in `job.folder`; report events while it runs."""
        ...
