"""The gain of a class: its interval, and that it holds what it promises."""

import numpy as np
import pytest

from tasks.reports.class_gain import gain


def test_the_interval_is_agresti_and_min_s() -> None:
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 50 + [False] * 10 + [True] * 20 + [False] * 20)
    found = gain("all", first, second)  # 10 images lost, 20 won, of 100
    assert (found.images, found.first, found.second) == (100, 0.6, 0.7)
    middle = (20.5 - 10.5) / 102
    spread = np.sqrt(20.5 + 10.5 - (20.5 - 10.5) ** 2 / 102) / 102
    assert (found.low, found.high) == pytest.approx((middle - 1.959964 * spread, middle + 1.959964 * spread))
    assert not found.certain
    assert gain("all", np.zeros(100, bool), np.ones(100, bool)).certain
    assert gain("one", np.ones(1, bool), np.ones(1, bool)).low >= -1


def test_intervals_hold_what_they_promise() -> None:
    """Of 2,000 pairs of networks whose true gain is 5 points, at most 7 % lie outside."""
    random = np.random.default_rng(1)
    outside = 0
    for _ in range(2000):
        cell = random.choice(4, size=100, p=[0.6, 0.1, 0.15, 0.15])  # both, first alone, second alone, none
        found = gain("", cell <= 1, (cell == 0) | (cell == 2))
        outside += not found.low <= 0.05 <= found.high
    assert outside / 2000 < 0.07
