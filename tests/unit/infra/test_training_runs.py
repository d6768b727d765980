from pathlib import Path

from infra.ports.training import Epoch, LogLine, OnEvent, TrainJob
from infra.ports.values import Producer
from infra.settings import load
from infra.training_runs import TrainingRuns

SPEC = {"classes": 10, "warmup_epochs": 0, "freeze_epochs": 0, "schedule": "cosine", "learning_rate": 1.0}


class Rising:
    """A trainer with a loss that rises."""

    def producer(self) -> Producer:
        return Producer("local", "0", False)

    def train(self, job: TrainJob, on_event: OnEvent) -> None:
        on_event(LogLine("of no interest"))
        for number, loss in enumerate((2.0, 1.8, 2.2, 2.6, 2.9, 3.3), 1):
            on_event(Epoch(number, 9, loss, 1.0, 1.0))


def test_trouble_is_told_once_while_the_training_runs(tmp_path: Path) -> None:
    epochs: list[int] = []
    told: list[tuple[int, str]] = []
    TrainingRuns(Rising(), load().obs).run(
        "ab" * 32,
        tmp_path,
        "cd" * 32,
        SPEC,
        tmp_path,
        lambda epoch: epochs.append(epoch.epoch),
        lambda text: told.append((epochs[-1], text)),
    )
    assert epochs == [1, 2, 3, 4, 5, 6]
    ((after, text),) = told
    assert after == 4
    assert "show learning-rate" in text
