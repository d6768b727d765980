from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from infra.faults import NO_FAULTS
from infra.modelarts.client import ModelArts
from infra.modelarts.phases import Phase
from infra.modelarts.watch import Watcher
from infra.modelarts.words import SECONDS, Words
from tests.unit.infra.local_training.doubles import Recorder
from tests.unit.infra.modelarts.fake import FakeModelArts, job_of


@dataclass
class Clock:
    """A clock that a sleep moves."""

    now: float = 0.0
    lines: list[str] = field(default_factory=list)

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def say_each(clock: Clock, words: Words, times: int, step: float, before: Callable[[], None] = lambda: None) -> None:
    for _ in range(times):
        clock.now += step
        before()
        words.say("waiting")


def test_a_word_is_said_each_half_minute_with_the_duration() -> None:
    clock = Clock()
    words = Words(clock.lines.append, clock.read)
    say_each(clock, words, 100, 1)
    assert clock.lines == ["waiting, for 30 s", "waiting, for 1 min 00 s", "waiting, for 1 min 30 s"]


def test_nothing_is_said_while_there_is_something_else_to_read() -> None:
    clock = Clock()
    words = Words(clock.lines.append, clock.read)
    say_each(clock, words, 100, 1, words.heard)
    assert clock.lines == []


def test_a_job_in_the_queue_is_told_of() -> None:
    clock, recorder = Clock(), Recorder()
    fake = FakeModelArts(phases=[*[Phase.PENDING] * 60, Phase.COMPLETED], all=[job_of("x")])
    Watcher(cast(ModelArts, fake), recorder, 5.0, NO_FAULTS, clock.sleep, clock.read).watch(fake.all[0])
    told = [line for line in recorder.status if "still Pending, for " in line]
    assert len(told) >= 60 * 20 / (SECONDS + 30) - 1
    assert "min" in told[-1]
