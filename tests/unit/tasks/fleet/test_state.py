"""The logic of waves; above all a simulation of 10,000 boards under a virtual clock, with injected failures."""

import heapq
import json
import random
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import pytest

from infra.errors import UserError
from tasks.fleet.state import Policy, Rollout, Stand, Start, Wait, cut_waves, share

FLEET = tuple(f"board-{number:05}" for number in range(10_000))


@dataclass
class Simulation:
    """Carries a rollout out in virtual time.

    Attributes:
        seconds: how long a board takes.
        fails: whether a board fails at its n-th attempt, from 1.
        killed_after: the process dies after so many events; None never.
    """

    policy: Policy
    fails: object = lambda board, attempt: False
    seconds: object = lambda board: 60.0
    now: float = 0.0
    events: list = field(default_factory=list)
    attempts: dict = field(default_factory=dict)
    most_at_once: int = 0
    began: dict = field(default_factory=dict)
    ended: dict = field(default_factory=dict)

    def record(self, rollout, **event):
        event = json.loads(json.dumps({**event, "time": self.now}))  # what a journal keeps
        self.events.append(event)
        rollout.apply(event)

    def run(self, killed_after=None, resume=False):
        """Go on from the events; returns how it stands, or None when the process died."""
        rollout = Rollout(self.policy, self.events)
        if resume:
            self.record(rollout, event="resumed")
        clock = []
        while True:
            if killed_after is not None and len(self.events) >= killed_after:
                return None
            step = rollout.next(self.now)
            if isinstance(step, Start):
                assert step.board not in rollout.running
                self.record(rollout, event="started", board=step.board)
                self.began[step.board] = self.now
                self.attempts[step.board] = self.attempts.get(step.board, 0) + 1
                heapq.heappush(clock, (self.now + self.seconds(step.board), step.board))
                self.most_at_once = max(self.most_at_once, len(rollout.running))
            elif isinstance(step, Wait) and step.until is None:
                self.now, board = heapq.heappop(clock)
                outcome = "failed" if self.fails(board, self.attempts[board]) else "changed"
                self.ended[board] = self.now
                self.record(rollout, event="ended", board=board, outcome=outcome)
            elif isinstance(step, Wait):
                assert step.until > self.now
                self.now = step.until
            else:
                assert not clock
                assert rollout.running == set()
                self.rollout = rollout
                return step


def started(simulation):
    return set(simulation.attempts)


def test_ten_thousand_boards_in_waves():
    policy = Policy(cut_waves(FLEET, ["10", "1%", "10%", "50%"]), max_failed=0.02, wait_seconds=3600, limit=50)
    assert [len(wave) for wave in policy.waves] == [10, 90, 900, 4000, 5000]
    generator = random.Random(1)
    broken = set(generator.sample(FLEET[100:], 80))
    times = {board: generator.uniform(20, 600) for board in FLEET}
    simulation = Simulation(policy, lambda board, _: board in broken, times.get)
    assert simulation.run() == Stand("done", "every wave is over")
    assert started(simulation) == set(FLEET)
    assert set(simulation.attempts.values()) == {1}
    assert simulation.most_at_once == 50
    assert {board for board, outcome in simulation.rollout.outcomes.items() if outcome == "failed"} == broken
    for earlier, later in pairwise(policy.waves):
        over = max(simulation.ended[board] for board in earlier)
        assert min(simulation.began[board] for board in later) == over + 3600
    busy = sum(times.values())
    assert simulation.now < busy / 50 + 4 * 3600 + 5 * 600  # the limit is used to the full


def test_a_bad_release_stops_at_the_threshold():
    """From the third wave on every tenth board fails; two in a hundred may."""
    policy = Policy(cut_waves(FLEET, ["10", "1%", "10%", "50%"]), max_failed=0.02, limit=50)
    simulation = Simulation(policy, lambda board, _: board >= FLEET[100] and board.endswith("0"))
    stand = simulation.run()
    failed = [board for board, outcome in simulation.rollout.outcomes.items() if outcome == "failed"]
    assert 19 <= len(failed) <= 18 + 50  # the one too many, and what was running beside it
    assert stand == Stand("stopped", f"{len(failed)} of 900 boards of wave 3 of 5 failed, 18 may")
    reached = len(started(simulation))
    assert 100 + 18 * 10 <= reached <= 100 + len(failed) * 10 + 50
    assert simulation.run() == stand
    assert len(started(simulation)) == reached


def test_a_canary_that_fails_touches_nothing_else():
    policy = Policy(cut_waves(FLEET, ["1"]), max_failed=0.5)
    simulation = Simulation(policy, lambda *_: True)
    assert simulation.run() == Stand("stopped", "1 of 1 boards of wave 1 of 2 (canary) failed, 0 may")
    assert started(simulation) == {FLEET[0]}


def test_a_stopped_rollout_tries_the_failed_boards_of_its_wave_again():
    policy = Policy(cut_waves(FLEET, ["10", "10%"]), limit=100)
    simulation = Simulation(policy, lambda board, attempt: board == FLEET[500] and attempt == 1)
    assert simulation.run().why == "stopped"
    assert len(started(simulation)) < 1000
    assert simulation.run(resume=True).why == "done"
    assert started(simulation) == set(FLEET)
    assert {board: count for board, count in simulation.attempts.items() if count > 1} == {FLEET[500]: 2}


def test_ten_thousand_boards_through_many_kills():
    """Whoever carries it out dies again and again, in the middle of waves; what ended is not done again."""
    policy = Policy(cut_waves(FLEET, ["10", "1%", "10%", "50%"]), max_failed=0.01, wait_seconds=60, limit=50)
    simulation = Simulation(policy, lambda board, _: board.endswith("777"))
    kills, stand, resume = 0, None, False
    while stand is None:
        kills += 1
        stand = simulation.run(killed_after=len(simulation.events) + 1333, resume=resume)
        resume = True
    assert stand.why == "done"
    assert kills > 10
    assert set(simulation.rollout.outcomes) == set(FLEET)
    assert sum(count - 1 for count in simulation.attempts.values()) <= kills * 50
    ends = [event["board"] for event in simulation.events if event["event"] == "ended"]
    assert len(ends) == len(set(ends))


@pytest.mark.parametrize(("pause", "pauses"), [("never", 0), ("canary", 1), ("each", 3)])
def test_pauses(pause, pauses):
    policy = Policy(cut_waves(FLEET[:100], ["1", "10", "50"]), pause=pause)
    simulation = Simulation(policy)
    seen = 0
    stand = simulation.run()
    while stand.why == "paused":
        seen += 1
        assert simulation.run() == stand  # without a word nothing happens
        stand = simulation.run(resume=True)
    assert (stand.why, seen) == ("done", pauses)


def test_a_kill_while_the_next_wave_waits_does_not_shorten_the_wait():
    policy = Policy((("a",), ("b",)), wait_seconds=100)
    rollout = Rollout(policy, [{"event": "started", "board": "a", "time": 0}])
    rollout.apply({"event": "resumed", "time": 5})
    assert rollout.next(5) == Start("a")
    rollout.apply({"event": "started", "board": "a", "time": 5})
    rollout.apply({"event": "ended", "board": "a", "outcome": "changed", "time": 50})
    assert rollout.next(60) == Wait(150)
    assert rollout.next(150) == Start("b")


def test_what_was_returned_is_told():
    events = [
        {"event": "started", "board": "a", "time": 0},
        {"event": "ended", "board": "a", "outcome": "changed", "time": 1},
        {"event": "returned", "board": "a", "time": 2},
        {"event": "something else", "time": 3},
    ]
    assert Rollout(Policy((("a",),)), events).outcomes == {"a": "returned"}


@pytest.mark.parametrize("seed", range(100))
def test_no_order_of_events_breaks_the_rules(seed):
    """Any fleet, any failures, kills anywhere: limits and thresholds hold, and it comes to an end."""
    choose = random.Random(seed)
    boards = FLEET[: choose.randint(1, 40)]
    policy = Policy(
        cut_waves(boards, choose.choices(["1", "3", "10%", "25%", "50%"], k=choose.randint(0, 3))),
        max_failed=choose.choice([0.0, 0.2, 0.5, 1.0]),
        wait_seconds=choose.choice([0.0, 10.0]),
        pause=choose.choice(["never", "canary", "each"]),
        limit=choose.randint(1, 5),
    )
    broken = set(choose.sample(boards, choose.randint(0, len(boards))))
    simulation = Simulation(policy, lambda board, attempt: board in broken and attempt < 3)
    stand, lives = None, 0
    while stand is None or stand.why != "done":
        lives += 1
        assert lives < 1000
        stand = simulation.run(killed_after=len(simulation.events) + choose.randint(1, 20), resume=lives > 1)
    assert simulation.most_at_once <= policy.limit
    assert set(simulation.rollout.outcomes) == set(boards)
    for number, wave in enumerate(policy.waves):
        failed = sum(simulation.rollout.outcomes[board] == "failed" for board in wave)
        assert failed <= simulation.rollout.allowed(number)


def test_waves_cover_every_board_once():
    assert cut_waves(FLEET[:10], ["1", "25%", "25%", "99"]) == (FLEET[:1], FLEET[1:3], FLEET[3:10])
    assert cut_waves(FLEET[:1], ["1", "50%"]) == (FLEET[:1],)
    assert cut_waves(FLEET[:5], []) == (FLEET[:5],)
    assert sum(cut_waves(FLEET, ["0.01%", "33.3%"]), ()) == FLEET


@pytest.mark.parametrize("size", ["", "x", "0", "-1", "1.5", "0%", "101%", "10%x", "nan%", "inf"])
def test_what_is_no_size(size):
    with pytest.raises(UserError, match="not the size of a wave"):
        cut_waves(FLEET, [size])


def test_no_board_is_an_error():
    with pytest.raises(UserError, match="no board is selected"):
        cut_waves([], ["1"])


def test_shares_grow_by_adding():
    shares = [share(FLEET, percent) for percent in (0.01, 1, 10, 50, 100)]
    assert [len(found) for found in shares] == [1, 100, 1000, 5000, 10_000]
    for smaller, larger in pairwise(shares):
        assert set(smaller) < set(larger)
    assert shares[1] == tuple(sorted(shares[1]))
    assert not set(shares[1]) <= set(FLEET[:5000])  # spread over the fleet


def test_a_policy_survives_its_journal():
    policy = Policy((("a", "b"), ("c",)), 0.1, 5.0, "each", 3)
    said = json.loads(json.dumps(asdict(policy)))
    assert Policy(**{**said, "waves": tuple(map(tuple, said["waves"]))}) == policy
