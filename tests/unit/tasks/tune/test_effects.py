from typing import Any

import pytest

pytest.importorskip("optuna", reason="the extra `tuning` is not installed")

from tasks.tune.effects import MEASURES, Point, effects, pareto


def point(accuracy: Any, size: float = 1.0, latency: float = 1.0, **levels: Any) -> Any:
    return Point(levels, accuracy, size, latency, 0.5 * accuracy - 0.35 * size - 0.15 * latency)


VALUES = {"width": ("1", "2"), "rate": ("0.01", "0.1", "1")}
POINTS = [
    point(50.0, 1.0, width="1", rate="0.01"),
    point(54.0, 4.0, width="2", rate="0.01"),
    point(60.0, 1.0, width="1", rate="0.1"),
    point(62.0, 4.0, width="2", rate="0.1"),
    point(10.0, 1.0, width="1", rate="1"),
]


def of(factor: Any, after: Any, measure: Any) -> Any:
    (found,) = (
        item for item in effects(POINTS, VALUES) if (item.factor, item.after, item.measure) == (factor, after, measure)
    )
    return found


def test_pairs_differ_in_one_factor_alone() -> None:
    wider = of("width", "2", "accuracy")
    assert wider.differences == (4.0, 2.0)
    assert (wider.before, wider.mean, wider.ups) == ("1", 3.0, 2)
    assert wider.deviation == pytest.approx(2**0.5)
    assert of("width", "2", "size_mb").differences == (3.0, 3.0)
    # 0.5 · 4 - 0.35 · 3 and 0.5 · 2 - 0.35 · 3
    assert of("width", "2", "score").differences == pytest.approx((0.95, -0.05))
    assert of("width", "2", "score").ups == 1


def test_every_value_is_compared_with_the_first() -> None:
    assert of("rate", "0.1", "accuracy").differences == (10.0, 8.0)
    lonely = of("rate", "1", "accuracy")
    assert lonely.differences == (-40.0,)
    assert lonely.deviation is None
    assert len(effects(POINTS, VALUES)) == 3 * len(MEASURES)


def test_what_was_never_compared_has_no_effect() -> None:
    apart = [point(50.0, width="1", rate="0.01"), point(60.0, width="2", rate="0.1")]
    assert effects(apart, VALUES) == []


def test_the_front_is_what_nothing_beats() -> None:
    points = [
        point(60.0, 2.0, 1.0),  # the most accurate
        point(55.0, 1.0, 1.0),  # smaller
        point(54.0, 1.0, 1.0),  # beaten by the second
        point(54.0, 3.0, 0.5),  # the quickest
        point(60.0, 2.0, 1.5),  # beaten by the first: as good, but slower
    ]
    assert pareto(points) == [0, 1, 3]
    assert pareto([points[0], points[0]]) == [0, 1], "equal ones stay together"
    assert pareto([]) == []
