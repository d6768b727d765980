from typing import Any

import pytest

from models.evaluation.objective import score, size_mb


def test_the_tutorial_s_preset() -> None:
    # docs/reference/tutorials.md T4: 0.061984 M parameters, 0.528 ms, 65.7 to 66.3 % accuracy.
    assert size_mb(61_984) == pytest.approx(0.247936)
    assert score(0.66, size_mb(61_984), 0.528) == pytest.approx(33.0 - 0.0867776 - 0.0792)


@pytest.mark.parametrize("change", [(-0.01, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_what_costs_more_or_knows_less_is_worse(change: Any) -> None:
    better, worse = (0.5, 1.0, 1.0), [a + b for a, b in zip((0.5, 1.0, 1.0), change, strict=True)]
    assert score(*worse) < score(*better)
