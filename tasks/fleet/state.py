"""Rolling a release out in waves, as pure logic: what may happen next, from what has happened. No I/O, no clock.

A rollout is its policy and the events so far; `Rollout.next` says what to do at a given time. Whoever carries it out
records each event before it goes on, so that another process can take the events and continue in the middle of a wave.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from infra.errors import UserError

Pause = Literal["never", "canary", "each"]
Outcome = Literal["changed", "unchanged", "failed", "returned"]


@dataclass(frozen=True)
class Policy:
    """How a rollout goes.

    Attributes:
        waves: the boards of each wave; the first wave is the canary.
        max_failed: the share of a wave's boards that may fail; one board more stops the rollout.
        wait_seconds: between the end of a wave and the start of the next.
        pause: stop for a person's word after each wave, after the canary, or never.
        limit: boards that are deployed to at once.
    """

    waves: tuple[tuple[str, ...], ...]
    max_failed: float = 0.0
    wait_seconds: float = 0.0
    pause: Pause = "never"
    limit: int = 32


@dataclass(frozen=True)
class Start:
    """Deploy to this board now."""

    board: str


@dataclass(frozen=True)
class Wait:
    """Until a running board has ended (None), or until a time."""

    until: float | None


@dataclass(frozen=True)
class Stand:
    """Nothing more happens by itself: the rollout is done, waits for a person, or was stopped by failures."""

    why: Literal["done", "paused", "stopped"]
    reason: str


Step = Start | Wait | Stand


class Rollout:
    """The state of one rollout.

    Attributes:
        policy: how it goes.
        outcomes: what became of each board that has ended.
        running: boards that have started and not ended.
        wave: number of the current wave, from 0.
    """

    def __init__(self, policy: Policy, events: Iterable[Mapping[str, Any]] = ()) -> None:
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
        """What to do at the time `now` (seconds, of the clock that the events were recorded with)."""
        step = self._within_wave()
        while step is None:
            step = self._after_wave(now)
            if step is None:
                self.wave += 1
                step = self._within_wave()
        return step

    def _within_wave(self) -> Step | None:
        """What to do in the current wave; None when it is over."""
        failed, allowed = self._failed[self.wave], self.allowed(self.wave)
        if failed > allowed and not self.running:
            size = len(self.policy.waves[self.wave])
            return Stand("stopped", f"{failed} of {size} boards of {self.title()} failed, {allowed} may")
        if failed <= allowed and self._waiting[self.wave] and len(self.running) < self.policy.limit:
            return Start(self._waiting[self.wave][0])
        return Wait(None) if self.running else None

    def _after_wave(self, now: float) -> Step | None:
        """What keeps the next wave from starting; None when nothing does."""
        if self.wave == len(self.policy.waves) - 1:
            return Stand("done", "every wave is over")
        if self._approved > self.wave:
            return None
        if self._pauses():
            return Stand("paused", f"{self.title()} is over")
        until = self._ended_at[self.wave] + self.policy.wait_seconds
        return Wait(until) if now < until else None

    def allowed(self, wave: int) -> int:
        """How many boards of a wave may fail."""
        return math.floor(self.policy.max_failed * len(self.policy.waves[wave]) + 1e-9)

    def title(self, wave: int | None = None) -> str:
        """A wave in words; the current one by default."""
        number = self.wave if wave is None else wave
        return f"wave {number + 1} of {len(self.policy.waves)}" + (" (canary)" if number == 0 else "")

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take note of an event: `started`, `ended`, `resumed` or `returned`; others are not ours.

        `resumed` is a person's word to go on: past a pause, past a stop (the wave's failed boards are tried again), or
        in place of a process that is gone (its running boards are started again; an installation can be repeated).
        """
        kind = event["event"]
        if kind == "started":
            self._start(event["board"])
        elif kind == "ended":
            self._end(event["board"], event["outcome"], event["time"])
        elif kind == "returned":
            self.outcomes[event["board"]] = "returned"
        elif kind == "resumed":
            self._resume()

    def _start(self, board: str) -> None:
        self.wave = max(self.wave, self._wave_of[board])
        self._waiting[self._wave_of[board]].remove(board)  # the first one, but for a journal of another order
        self.running.add(board)

    def _end(self, board: str, outcome: Outcome, time: float) -> None:
        wave = self._wave_of[board]
        self.running.discard(board)
        self.outcomes[board] = outcome
        self._failed[wave] += outcome == "failed"
        self._ended_at[wave] = max(self._ended_at[wave], time)

    def _resume(self) -> None:
        again = [board for board in self.policy.waves[self.wave] if board in self.running]
        self.running.clear()
        stopped = self._failed[self.wave] > self.allowed(self.wave)
        if stopped:
            again += [board for board in self.policy.waves[self.wave] if self.outcomes.get(board) == "failed"]
            self._failed[self.wave] = 0
        elif not again and not self._waiting[self.wave]:
            self._approved = self.wave + 1
        for board in again:
            self.outcomes.pop(board, None)
        self._waiting[self.wave].extendleft(reversed(again))

    def _pauses(self) -> bool:
        return self.policy.pause == "each" or (self.policy.pause == "canary" and self.wave == 0)


def share(boards: Sequence[str], percent: float) -> tuple[str, ...]:
    """A percentage of the boards, rounded up, in their order; a larger percentage holds all of a smaller one.

    Which boards depends on their names alone, spread evenly by a digest.
    """
    count = math.ceil(len(boards) * percent / 100 - 1e-9)
    chosen = set(sorted(boards, key=lambda name: sha256(name.encode()).hexdigest())[:count])
    return tuple(name for name in boards if name in chosen)


def cut_waves(boards: Sequence[str], sizes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Cut boards into waves.

    Args:
        boards: in their order.
        sizes: how many boards are done at the end of each wave: a number such as `1`, or a share such as `25%`; what
            is left is the last wave. Shares are rounded up; a wave that would add nothing is left out.

    Raises:
        UserError: no board, or a size that is none.
    """
    if not boards:
        raise UserError("no board is selected", hint="name boards, or use --label or --all")
    waves: list[tuple[str, ...]] = []
    done = 0
    for text in (*sizes, "100%"):
        end = min(len(boards), _size(text, len(boards)))
        if end > done:
            waves.append(tuple(boards[done:end]))
            done = end
    return tuple(waves)


def _size(text: str, total: int) -> int:
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number) if percent else int(number)
    except ValueError:
        value = -1
    if rest or not 0 < value < math.inf or (percent and value > 100):
        raise UserError(f"'{text}' is not the size of a wave", hint="write sizes such as 1,10%,50%")
    return math.ceil(total * value / 100 - 1e-9) if percent else int(value)
