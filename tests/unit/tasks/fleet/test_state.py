"""The logic of waves; above all a simulation of 10,000 boards under a virtual clock, with injected failures."""

import heapq
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from tasks.fleet.events import (
    BoardResult,
    Ended,
    Event,
    Outcome,
    Pause,
    Policy,
    Resumed,
    Returned,
    Started,
    event_to_json,
    events_from_json,
)
from tasks.fleet.state import Halt, Phase, Rollout, Start, Wait
from tasks.fleet.waves import cut_waves

PAUSES: tuple[Pause, ...] = ("never", "canary", "each")
FLEET = tuple(f"board-{number:05}" for number in range(10_000))


@dataclass
class Simulation:
    """Carries a rollout out in virtual time.

    Attributes:
        policy: of the rollout.
        fails: whether a board fails at its n-th attempt, from 1.
        seconds: how long a board takes.
    """

    policy: Policy
    fails: Callable[[str, int], bool] = lambda board, attempt: False
    seconds: Callable[[str], float] = lambda board: 60.0
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    most_at_once: int = 0
    began: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rollout = Rollout(self.policy)

    def record(self, event: Event) -> None:
        """Apply the event that the log would give back."""
        (event,) = events_from_json([json.loads(json.dumps(event_to_json(event)))])
        self.events.append(event)
        self.rollout.apply(event)

    def run(self, killed_after: int | None = None, resume: bool = False) -> Halt | None:
        """Continue from the events; None when the process died after so many of them."""
        self.rollout = Rollout(self.policy, self.events)
        if resume:
            self.record(Resumed(self.now))
        clock: list[tuple[float, str]] = []
        while True:
            if killed_after is not None and len(self.events) >= killed_after:
                return None
            step = self.rollout.next(self.now)
            if isinstance(step, Start):
                assert step.board not in self.rollout.running
                self.record(Started(step.board, self.now))
                self.began[step.board] = self.now
                self.attempts[step.board] = self.attempts.get(step.board, 0) + 1
                heapq.heappush(clock, (self.now + self.seconds(step.board), step.board))
                self.most_at_once = max(self.most_at_once, len(self.rollout.running))
            elif isinstance(step, Wait) and step.until is None:
                self.now, board = heapq.heappop(clock)
                outcome = Outcome.FAILED if self.fails(board, self.attempts[board]) else Outcome.CHANGED
                self.ended[board] = self.now
                self.record(Ended(board, self.now, BoardResult(outcome)))
            elif isinstance(step, Wait):
                assert step.until is not None
                assert step.until > self.now
                self.now = step.until
            else:
                assert not clock
                assert self.rollout.running == set()
                return step

    def run_to_halt(self, resume: bool = False) -> Halt:
        halt = self.run(resume=resume)
        assert halt
        return halt


def started(simulation: Simulation) -> set[str]:
    return set(simulation.attempts)


def test_a_clock_that_is_set_back_lets_a_rollout_wait_once_more_and_not_for_years() -> None:
    policy = Policy((("a",), ("b",)), wait_seconds=60)
    ended = Ended("a", 2e9, BoardResult(Outcome.CHANGED))
    rollout = Rollout(policy, [Started("a", 2e9), ended])
    assert rollout.next(1e9) == Wait(1e9 + 60)
    assert rollout.next(1e9 + 60) == Start("b")


def test_ten_thousand_boards_in_waves() -> None:
    policy = Policy(cut_waves(FLEET, ["10", "1%", "10%", "50%"]), max_failed=0.02, wait_seconds=3600, limit=50)
    assert [len(wave) for wave in policy.waves] == [10, 90, 900, 4000, 5000]
    generator = random.Random(1)
    broken = set(generator.sample(FLEET[100:], 80))
    times = {board: generator.uniform(20, 600) for board in FLEET}
    simulation = Simulation(policy, lambda board, _: board in broken, times.__getitem__)
    assert simulation.run() == Halt(Phase.DONE, "every wave is over")
    assert started(simulation) == set(FLEET)
    assert set(simulation.attempts.values()) == {1}
    assert simulation.most_at_once == 50
    assert {board for board, outcome in simulation.rollout.outcomes.items() if outcome == "failed"} == broken
    for earlier, later in pairwise(policy.waves):
        over = max(simulation.ended[board] for board in earlier)
        assert min(simulation.began[board] for board in later) == over + 3600
    busy = sum(times.values())
    assert simulation.now < busy / 50 + 4 * 3600 + 5 * 600  # the limit is used to the full


def test_a_bad_release_stops_at_the_threshold() -> None:
    """From the third wave on every tenth board fails; two in a hundred may."""
    policy = Policy(cut_waves(FLEET, ["10", "1%", "10%", "50%"]), max_failed=0.02, limit=50)
    simulation = Simulation(policy, lambda board, _: board >= FLEET[100] and board.endswith("0"))
    halt = simulation.run_to_halt()
    failed = [board for board, outcome in simulation.rollout.outcomes.items() if outcome == "failed"]
    assert 19 <= len(failed) <= 18 + 50  # the one too many, and what was running beside it
    assert halt == Halt(Phase.STOPPED, f"{len(failed)} of 900 boards of wave 3 of 5 failed, 18 may")
    reached = len(started(simulation))
    assert 100 + 18 * 10 <= reached <= 100 + len(failed) * 10 + 50
    assert simulation.run() == halt
    assert len(started(simulation)) == reached


def test_a_canary_that_fails_touches_nothing_else() -> None:
    policy = Policy(cut_waves(FLEET, ["1"]), max_failed=0.5)
    simulation = Simulation(policy, lambda *_: True)
    assert simulation.run() == Halt(Phase.STOPPED, "1 of 1 boards of wave 1 of 2 (canary) failed, 0 may")
    assert started(simulation) == {FLEET[0]}


def test_a_stopped_rollout_tries_the_failed_boards_of_its_wave_again() -> None:
    policy = Policy(cut_waves(FLEET, ["10", "10%"]), limit=100)
    simulation = Simulation(policy, lambda board, attempt: board == FLEET[500] and attempt == 1)
    assert simulation.run_to_halt().phase is Phase.STOPPED
    assert len(started(simulation)) < 1000
    assert simulation.run_to_halt(resume=True).phase is Phase.DONE
    assert started(simulation) == set(FLEET)
    assert {board: count for board, count in simulation.attempts.items() if count > 1} == {FLEET[500]: 2}


def test_ten_thousand_boards_through_many_kills() -> None:
    """Whoever carries it out dies again and again, in the middle of waves; what ended is not done again."""
    policy = Policy(cut_waves(FLEET, ["10", "1%", "10%", "50%"]), max_failed=0.01, wait_seconds=60, limit=50)
    simulation = Simulation(policy, lambda board, _: board.endswith("777"))
    kills, resume = 0, False
    halt: Halt | None = None
    while halt is None:
        kills += 1
        halt = simulation.run(killed_after=len(simulation.events) + 1333, resume=resume)
        resume = True
    assert halt.phase is Phase.DONE
    assert kills > 10
    assert set(simulation.rollout.outcomes) == set(FLEET)
    assert sum(count - 1 for count in simulation.attempts.values()) <= kills * 50
    ends = [event.board for event in simulation.events if isinstance(event, Ended)]
    assert len(ends) == len(set(ends))


@pytest.mark.parametrize(("pause", "pauses"), [("never", 0), ("canary", 1), ("each", 3)])
def test_pauses(pause: Pause, pauses: int) -> None:
    policy = Policy(cut_waves(FLEET[:100], ["1", "10", "50"]), pause=pause)
    simulation = Simulation(policy)
    seen = 0
    halt = simulation.run_to_halt()
    while halt.phase is Phase.PAUSED:
        seen += 1
        assert simulation.run() == halt  # without a word nothing happens
        halt = simulation.run_to_halt(resume=True)
    assert (halt.phase, seen) == (Phase.DONE, pauses)


CHANGED = BoardResult(Outcome.CHANGED)


def test_a_kill_while_the_next_wave_waits_does_not_shorten_the_wait() -> None:
    policy = Policy((("a",), ("b",)), wait_seconds=100)
    rollout = Rollout(policy, [Started("a", 0)])
    rollout.apply(Resumed(5))
    assert rollout.next(5) == Start("a")
    rollout.apply(Started("a", 5))
    rollout.apply(Ended("a", 50, CHANGED))
    assert rollout.next(60) == Wait(150)
    assert rollout.next(150) == Start("b")


def test_a_board_that_returned_has_that_outcome() -> None:
    events: list[Event] = [Started("a", 0), Ended("a", 1, CHANGED), Returned("a", 2)]
    assert Rollout(Policy((("a",),)), events).outcomes == {"a": Outcome.RETURNED}


@pytest.mark.parametrize("seed", range(100))
def test_no_order_of_events_breaks_the_rules(seed: int) -> None:
    """Any fleet, any failures, kills anywhere: limits and thresholds hold, and it comes to an end."""
    choose = random.Random(seed)
    boards = FLEET[: choose.randint(1, 40)]
    policy = Policy(
        cut_waves(boards, choose.choices(["1", "3", "10%", "25%", "50%"], k=choose.randint(0, 3))),
        max_failed=choose.choice([0.0, 0.2, 0.5, 1.0]),
        wait_seconds=choose.choice([0.0, 10.0]),
        pause=choose.choice(PAUSES),
        limit=choose.randint(1, 5),
    )
    broken = set(choose.sample(boards, choose.randint(0, len(boards))))
    simulation = Simulation(policy, lambda board, attempt: board in broken and attempt < 3)
    lives = 0
    halt: Halt | None = None
    while halt is None or halt.phase is not Phase.DONE:
        lives += 1
        assert lives < 1000
        halt = simulation.run(killed_after=len(simulation.events) + choose.randint(1, 20), resume=lives > 1)
    assert simulation.most_at_once <= policy.limit
    assert set(simulation.rollout.outcomes) == set(boards)
    for number, wave in enumerate(policy.waves):
        failed = sum(simulation.rollout.outcomes[board] == "failed" for board in wave)
        assert failed <= simulation.rollout.allowed(number)
