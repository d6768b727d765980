"""The port to a trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.ports.values import Lines, LocalFile, Producer


@dataclass(frozen=True)
class TrainJob:
    """One training to run.

    Attributes:
        key: the stage key, 64 hexadecimal digits; names the job.
        data: folder with `train/` and `eval/`.
        spec: the canonical TrainSpec as plain JSON values.
        folder: where checkpoints and results go; kept after a kill, so that training resumes in it.
        data_address: `obs://bucket/prefix/` of the same data, for a trainer elsewhere; the upload stage put it there.
        code_address: `obs://bucket/prefix/` of the folder with `main.py`, likewise.
        again: True when a training that was finished before is not to be taken instead.
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


class Trainer(Protocol):
    """Runs `models/main.py train` somewhere."""

    def producer(self) -> Producer:
        """Who trains; the same for two trainings whose bytes would be the same."""
        ...

    def train(self, job: TrainJob, lines: Lines) -> None:
        """Run or resume the job until its results are whole in `job.folder`; lines arrive while it runs."""
        ...
