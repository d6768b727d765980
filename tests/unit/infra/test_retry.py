"""Retries: transient errors alone, with growing delays, and never one loop inside another."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from infra.errors import Refused, Transient
from infra.retry import delays, is_retryable, retry


@dataclass(frozen=True)
class Policy:
    attempts: int = 3
    seconds: float = 2.0


def failing(times: int, error: type[Exception] = Transient) -> tuple[Callable[[], int], list[None]]:
    """An action that fails some times and then returns its number of calls, and the list that counts them."""
    calls: list[None] = []

    def action() -> int:
        calls.append(None)
        if len(calls) <= times:
            raise error("no answer")
        return len(calls)

    return action, calls


def test_a_transient_error_is_retried_with_growing_jittered_delays() -> None:
    slept: list[float] = []
    assert retry(failing(2)[0], Policy(), sleep=slept.append) == 3
    assert 1 <= slept[0] <= 3
    assert 2 <= slept[1] <= 6


def test_the_last_error_says_how_often_it_was_tried_and_is_marked() -> None:
    with pytest.raises(Transient, match=r"^no answer \(tried 3 times\)$") as caught:
        retry(failing(5)[0], Policy(), sleep=lambda _: None)
    assert not is_retryable(caught.value)
    assert not is_retryable(pickle.loads(pickle.dumps(caught.value)))  # noqa: S301 - our own bytes


def test_any_other_error_ends_it_at_once() -> None:
    action, calls = failing(5, Refused)
    with pytest.raises(Refused):
        retry(action, Policy(), sleep=lambda _: None)
    assert len(calls) == 1


def test_one_attempt_means_no_retry() -> None:
    with pytest.raises(Transient, match=r"^no answer$"):
        retry(failing(5)[0], Policy(attempts=1))


def test_nested_loops_do_not_multiply() -> None:
    action, calls = failing(100)
    with pytest.raises(Transient, match=r"^no answer \(tried 3 times\)$"):
        retry(lambda: retry(action, Policy(), sleep=lambda _: None), Policy(), sleep=lambda _: None)
    assert len(calls) == 3


def test_only_a_transient_error_that_nobody_retried_is_retryable() -> None:
    assert is_retryable(Transient("x"))
    assert not is_retryable(Refused("x"))
    assert not is_retryable(None)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(1), []),
        (Policy(3, 2), [2, 4]),
        (Policy(7, 2), [2, 4, 8, 16, 20, 20]),
        (Policy(3, 60), [60, 60]),
    ],
)
def test_delays_double_up_to_a_limit(policy: Policy, expected: list[float]) -> None:
    assert delays(policy) == expected
