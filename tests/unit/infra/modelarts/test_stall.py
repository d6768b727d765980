"""The alarm for jobs that make no progress."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from infra.faults import NO_FAULTS
from infra.modelarts.client import ModelArts
from infra.modelarts.job import LogPreview
from infra.modelarts.phases import Phase
from infra.modelarts.stall import LEAST_SECONDS, Alarm, Progress
from infra.modelarts.watch import Watcher
from infra.ports.training import Epoch, LogLine, TrainEvent
from tests.unit.infra.local_training.doubles import Recorder
from tests.unit.infra.modelarts.fake import FakeModelArts, job_of


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 0.0

    def read(self) -> float:
        return self.now


def step(number: int) -> TrainEvent:
    return LogLine(f"epoch: 1 step: {number}, loss is 0.5")


def looks(progress: Progress, clock: Clock, gap: float, *events: TrainEvent | None) -> list[float]:
    """Look after each event (None: no event); return the seconds of the stalls."""
    found = []
    for event in events:
        clock.now += gap
        if event is not None:
            progress.note(event)
        stall = progress.look()
        if stall is not None:
            found.append(stall.seconds)
    return found


@pytest.mark.parametrize(
    "make", [step, lambda number: Epoch(number, 99, 0.1, 1.0, 1.0), lambda number: LogLine(f"Iteration [{number}/99]")]
)
def test_a_long_pause_is_told_of_once(make: Callable[[int], TrainEvent]) -> None:
    clock = Clock()
    progress = Progress(5, clock.read)
    assert looks(progress, clock, 30, *(make(number) for number in range(5))) == []
    assert looks(progress, clock, 30, *[None] * 20) == [150]
    assert looks(progress, clock, 30, make(7), *[None] * 20) == [150], "it stalls again"


def test_other_lines_are_no_step() -> None:
    clock = Clock()
    progress = Progress(5, clock.read)
    looks(progress, clock, 30, *(step(number) for number in range(5)))
    lines = [LogLine("still alive"), step(4), LogLine("step"), LogLine("warning 7")]
    assert looks(progress, clock, 60, *lines) == [180]


def test_short_pauses_of_quick_steps_are_no_stall() -> None:
    clock = Clock()
    progress = Progress(5, clock.read)
    looks(progress, clock, 0.1, *(step(number) for number in range(9)))
    assert looks(progress, clock, 1, *[None] * int(LEAST_SECONDS - 1)) == []
    assert len(looks(progress, clock, 1, None, None)) == 1


def test_nothing_is_known_before_some_steps_nor_while_the_job_waits() -> None:
    clock = Clock()
    progress = Progress(5, clock.read)
    assert looks(progress, clock, 30, step(1), step(2), *[None] * 99) == []
    looks(progress, clock, 30, *(step(number) for number in range(3, 9)))
    progress.pause()
    assert looks(progress, clock, 30, *[None] * 99) == []


def test_a_factor_of_0_is_no_alarm() -> None:
    clock = Clock()
    progress = Progress(0, clock.read)
    assert looks(progress, clock, 30, *(step(number) for number in range(5)), *[None] * 99) == []


@dataclass
class Stuck(FakeModelArts):
    """A job that makes five steps and then hangs, until it is stopped."""

    text: str = ""
    previews: int = 0
    told: list[str] = field(default_factory=list)

    def preview(self, identity: str, task: str) -> LogPreview:
        self.previews += 1
        if self.previews <= 6:
            self.text += f"step {self.previews}\n"
        return LogPreview(self.text, len(self.text), len(self.text))


@pytest.mark.parametrize("stop", [False, True])
def test_a_job_that_hangs_is_told_of_and_stopped_if_so_set(stop: bool) -> None:
    clock, recorder = Clock(), Recorder()
    fake = Stuck(phases=[*[Phase.RUNNING] * 60, Phase.COMPLETED], stopped_as=Phase.TERMINATED, all=[job_of("x")])

    def sleep(seconds: float) -> None:
        clock.now += seconds

    alarm = Alarm(3, stop, lambda subject, _text: fake.told.append(subject))
    watcher = Watcher(cast(ModelArts, fake), recorder, 20.0, NO_FAULTS, sleep, clock.read, alarm)
    ended, _ = watcher.watch(fake.all[0])
    assert fake.told == ["AtlasFlow: x makes no progress"]
    assert recorder.has_status("no new step for")
    assert (fake.stops, ended.phase) == ((1, Phase.TERMINATED) if stop else (0, Phase.COMPLETED))
