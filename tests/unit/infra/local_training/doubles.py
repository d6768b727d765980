"""Doubles for tests of trainers: a small data set, and a recorder of events."""

import shutil
from pathlib import Path

from infra.ports.training import Epoch, JobStatus, LogLine, TrainEvent

FAKE_MAIN = Path(__file__).with_name("fake_main.py")


def small_data(folder: Path) -> Path:
    """Write a folder shaped like the data set, with a few bytes in each file."""
    for name in ("train/data_batch_1.bin", "eval/test_batch.bin", "batches.meta.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def fake_checkout(folder: Path) -> Path:
    """Write a checkout with a `models/main.py` that trains in no time; return that program's path."""
    main = folder / "models" / "main.py"
    main.parent.mkdir(parents=True)
    shutil.copy(FAKE_MAIN, main)
    return main


class Recorder:
    """Records the events of a training, which it receives as its `on_event`."""

    def __init__(self) -> None:
        self.events: list[TrainEvent] = []

    def __call__(self, event: TrainEvent) -> None:
        self.events.append(event)

    @property
    def epochs(self) -> list[int]:
        """The numbers of the epochs."""
        return [event.epoch for event in self.events if isinstance(event, Epoch)]

    @property
    def log(self) -> list[str]:
        """The log lines."""
        return [event.text for event in self.events if isinstance(event, LogLine)]

    @property
    def status(self) -> list[str]:
        """The status lines of the job."""
        return [event.text for event in self.events if isinstance(event, JobStatus)]

    def has_status(self, part: str) -> bool:
        """Return True when a status line contains `part`."""
        return any(part in line for line in self.status)


def ignore(_event: TrainEvent) -> None:
    """Ignore an event."""
