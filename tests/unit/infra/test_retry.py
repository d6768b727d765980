"""Retries: transient errors alone, with growing delays, and never one loop inside another."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from infra.errors import Refused, Transient
from infra.retry import delays, is_retryable, retry, wait_of


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


def asked_to_wait(seconds: float) -> Callable[[], int]:
    def action() -> int:
        error = Transient("busy")
        error.after = seconds
        raise error

    return action


def test_what_the_other_side_asks_for_is_waited_for() -> None:
    slept: list[float] = []
    with pytest.raises(Transient):
        retry(asked_to_wait(60), Policy(), sleep=slept.append)
    assert slept == [60, 60]


def test_a_wait_that_is_too_long_ends_the_attempts() -> None:
    slept: list[float] = []
    with pytest.raises(Transient, match=r"busy \(it asks to wait 7200 s\)") as caught:
        retry(asked_to_wait(7200), Policy(), sleep=slept.append)
    assert slept == []
    assert not is_retryable(caught.value)


def test_a_wait_is_read_from_a_number_or_a_date() -> None:
    assert wait_of("3") == 3
    assert 50 < wait_of(format_datetime(datetime.now(UTC) + timedelta(minutes=1))) <= 60
    assert wait_of(None) == wait_of("") == wait_of("soon") == wait_of("-5") == 0


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
