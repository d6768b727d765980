from typing import Any

import pytest

from tasks.tune.pruning import Pruning, reason_to_stop, rungs

OTHERS = ({1: 10.0, 2: 20.0}, {1: 12.0, 2: 22.0}, {1: 14.0, 2: 30.0}, {1: 16.0})


def median(**changes: Any) -> Any:
    return Pruning(**{"rule": "median", "after": 3, "warmup": 0.0, "curves": OTHERS, **changes})


@pytest.mark.parametrize(
    ("own", "stopped"),
    [
        ({1: 12.9}, True),  # the median of 10, 12, 14, 16 is 13
        ({1: 13.0}, False),
        ({1: 23.0, 2: 5.0}, False),  # its best score of two epochs counts; the median of 20, 22, 30 is 22
        ({1: 13.0, 2: 21.9}, True),
        ({1: 1.0, 3: 1.0}, False),  # nobody else has a third epoch
        ({}, False),
    ],
)
def test_the_median_of_the_others_at_the_same_epoch(own: Any, stopped: bool) -> None:
    assert (reason_to_stop(median(), own, epochs=5) is not None) is stopped


def test_the_reason_says_what_was_compared() -> None:
    said = reason_to_stop(median(), {1: 5.0}, epochs=5)
    assert said == "best score in 1 epochs 5.00 is below the median 13.00 of 4 other trainings"


@pytest.mark.parametrize(
    "pruning",
    [median(rule="none"), median(after=5), median(warmup=0.5), median(curves=())],
    ids=["no rule", "too few others", "still in its first half", "no others"],
)
def test_it_goes_on(pruning: Any) -> None:
    assert reason_to_stop(pruning, {1: 0.0}, epochs=3) is None


def test_the_last_epoch_stops_nothing() -> None:
    assert reason_to_stop(median(), {1: 0.0, 2: 0.0}, epochs=2) is None


def test_rungs_are_the_first_epoch_times_powers_of_four() -> None:
    assert rungs(1, 30) == (1, 4, 16)
    assert rungs(3, 12) == (3,)
    assert rungs(5, 5) == ()


@pytest.mark.parametrize(("score", "stopped"), [(7.5, False), (6.5, False), (5.5, True), (0.0, True)])
def test_the_best_quarter_of_a_rung_goes_on(score: float, stopped: bool) -> None:
    # Seven others with 1 to 7: of eight, two go on.
    curves = tuple({2: float(value)} for value in range(1, 8))
    pruning = Pruning("halving", after=1, warmup=0.1, curves=curves)
    assert (reason_to_stop(pruning, {1: 9.0, 2: score}, epochs=20) is not None) is stopped


def test_between_two_rungs_nothing_is_decided() -> None:
    curves = ({1: 9.0, 3: 9.0}, {1: 9.0, 3: 9.0})
    pruning = Pruning("halving", after=1, warmup=0.0, curves=curves)
    assert reason_to_stop(pruning, {1: 0.0}, epochs=20) is not None
    assert reason_to_stop(pruning, {1: 0.0, 3: 0.0}, epochs=20) is None
