"""Roll a release out in waves, as pure logic: what may happen next, given what has happened. No I/O, no clock.

The state of a rollout follows from its policy and its events; `Rollout.next` decides what to do at a given time. Each
event is recorded before the next step, so that another process can read the events and continue within a wave.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tasks.fleet.events import Ended, Event, Outcome, Policy, Resumed, Returned, Started


class Phase(StrEnum):
    """Why a rollout does not go on by itself."""

    DONE = "done"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Start:
    """Deploy to this board now."""

    board: str


@dataclass(frozen=True)
class Wait:
    """Wait until a running board has ended (None), or until a time."""

    until: float | None


@dataclass(frozen=True)
class Halt:
    """Nothing happens by itself any more: the rollout is done, waits for a person, or was stopped by failures."""

    phase: Phase
    reason: str


Step = Start | Wait | Halt


class Rollout:
    """The state of one rollout.

    Attributes:
        policy: how it proceeds.
        outcomes: the result of each board that has ended.
        running: boards that have started and not ended.
        wave: number of the current wave, from 0.
    """

    def __init__(self, policy: Policy, events: Iterable[Event] = ()) -> None:
        self.policy = policy
        self.outcomes: dict[str, Outcome] = {}
        self.running: set[str] = set()
        self.wave = 0
        self._wave_of = {board: number for number, wave in enumerate(policy.waves) for board in wave}
        self._waiting = [deque(wave) for wave in policy.waves]
        self._failed = [0] * len(policy.waves)
        self._ended_at = [0.0] * len(policy.waves)
        self._approved = 0
        for event in events:
            self.apply(event)

    def next(self, now: float) -> Step:
        """Decide what to do at the time `now`, in seconds by the clock of the events."""
        step = self._within_wave()
        while step is None:
            step = self._after_wave(now)
            if step is None:
                self.wave += 1
                step = self._within_wave()
        return step

    def _within_wave(self) -> Step | None:
        """Decide what to do in the current wave; None when it is over."""
        failed, allowed = self._failed[self.wave], self.allowed(self.wave)
        if failed > allowed and not self.running:
            size = len(self.policy.waves[self.wave])
            return Halt(Phase.STOPPED, f"{failed} of {size} boards of {self.title()} failed, {allowed} may")
        if failed <= allowed and self._waiting[self.wave] and len(self.running) < self.policy.limit:
            return Start(self._waiting[self.wave][0])
        return Wait(None) if self.running else None

    def _after_wave(self, now: float) -> Step | None:
        """Decide what delays the next wave; None when it may start."""
        if self.wave == len(self.policy.waves) - 1:
            return Halt(Phase.DONE, "every wave is over")
        if self._approved > self.wave:
            return None
        if self._pauses():
            return Halt(Phase.PAUSED, f"{self.title()} is over")
        # A clock that was set back would let it wait for years.
        self._ended_at[self.wave] = min(self._ended_at[self.wave], now)
        until = self._ended_at[self.wave] + self.policy.wait_seconds
        return Wait(until) if now < until else None

    def allowed(self, wave: int) -> int:
        """Number of boards of a wave that may fail."""
        return math.floor(self.policy.max_failed * len(self.policy.waves[wave]) + 1e-9)

    def title(self, wave: int | None = None) -> str:
        """Title of a wave, by default the current one."""
        number = self.wave if wave is None else wave
        return f"wave {number + 1} of {len(self.policy.waves)}" + (" (canary)" if number == 0 else "")

    def apply(self, event: Event) -> None:
        """Update the state by an event."""
        match event:
            case Started():
                self._start(event.board)
            case Ended():
                self._end(event)
            case Returned():
                self.outcomes[event.board] = Outcome.RETURNED
            case Resumed():
                self._resume()

    def _start(self, board: str) -> None:
        self.wave = max(self.wave, self._wave_of[board])
        self._waiting[self._wave_of[board]].remove(board)  # usually the first one
        self.running.add(board)

    def _end(self, event: Ended) -> None:
        wave, outcome = self._wave_of[event.board], event.result.outcome
        self.running.discard(event.board)
        self.outcomes[event.board] = outcome
        self._failed[wave] += outcome == Outcome.FAILED
        self._ended_at[wave] = max(self._ended_at[wave], event.time)

    def _resume(self) -> None:
        again = [board for board in self.policy.waves[self.wave] if board in self.running]
        self.running.clear()
        stopped = self._failed[self.wave] > self.allowed(self.wave)
        if stopped:
            again += [board for board in self.policy.waves[self.wave] if self.outcomes.get(board) == Outcome.FAILED]
            self._failed[self.wave] = 0
        elif not again and not self._waiting[self.wave]:
            self._approved = self.wave + 1
        for board in again:
            self.outcomes.pop(board, None)
        self._waiting[self.wave].extendleft(reversed(again))

    def _pauses(self) -> bool:
        return self.policy.pause == "each" or (self.policy.pause == "canary" and self.wave == 0)
