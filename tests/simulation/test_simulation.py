"""Schedules by seed: a part of those of `make simulate`, and faults on purpose that they must find."""

import pytest

from tests.simulation.planted import PLANTED
from tests.simulation.run import MEMORY, scenario_of, schedule

pytestmark = pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a file system in memory, as Linux has")

BLOCK = 50
SEARCHED = 150


@pytest.mark.parametrize("block", range(10))
def test_all_invariants_hold(block: int) -> None:
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        found = schedule(scenario_of(seed), seed)
        assert not found.violation, f"python -m tests.simulation --scenario {found.scenario} --seed {seed}"


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    planted = PLANTED[name]
    seeds = [planted.seed, *(seed for seed in range(SEARCHED) if seed != planted.seed)]
    with planted.plant():
        found = (schedule(planted.scenario, seed) for seed in seeds)
        first = next(outcome for outcome in found if planted.finds in outcome.violation and outcome.violation)
    assert not schedule(planted.scenario, first.seed).violation, "the same schedule holds without the fault"


@pytest.mark.parametrize("scenario", ["work", "deploy", "rollout", "outbox"])
def test_a_seed_gives_the_same_schedule_again(scenario: str) -> None:
    first, again, other = (schedule(scenario, seed) for seed in (7, 7, 8))
    assert (first.signature, first.steps) == (again.signature, again.steps)
    assert first.signature != other.signature
