import math

import numpy as np
import pytest

from models.schedules import learning_rates
from models.trainspec import TrainSpec, replaced


def rates(steps=10, **values):
    return learning_rates(replaced(TrainSpec(), {"epochs": 4, "learning_rate": 0.1, **values}), steps)


def test_constant():
    assert rates(schedule="constant") == pytest.approx([0.1] * 40)


def test_cosine_is_the_tuning_tutorial_s_formula():
    expected = [0.5 * 0.1 * (1 + math.cos(math.pi * i / 40)) for i in range(40)]
    assert rates(schedule="cosine") == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_square_with_warmup_is_the_resnet_tutorial_s_formula():
    found = learning_rates(
        replaced(
            TrainSpec(),
            {
                "epochs": 90,
                "schedule": "square",
                "learning_rate": 0.1,
                "warmup_epochs": 5,
                "warmup_rate": 0.01,
            },
        ),
        1562,
    )
    total, warm = 90 * 1562, 5 * 1562
    assert len(found) == total
    assert found[0] == pytest.approx(0.01)
    assert found[1000] == pytest.approx(0.01 + 0.09 / warm * 1000)
    assert found[warm] == pytest.approx(0.1)
    assert found[70_000] == pytest.approx(0.1 * (1 - (70_000 - warm) / (total - warm)) ** 2)
    assert found[-1] == pytest.approx(0.1 * (1 / (total - warm)) ** 2)
    assert found.min() >= 0


def test_exponential_falls_by_its_factor_an_epoch():
    found = rates(schedule="exponential", decay_rate=0.5, warmup_epochs=1)
    assert found[[10, 20, 30]] == pytest.approx([0.1, 0.05, 0.025])
    assert found[15] == pytest.approx(0.1 * 0.5**0.5)


def test_stage_falls_at_milestones():
    found = rates(schedule="stage", milestones="1,3", decay_rate=0.1)
    assert found[[0, 9, 10, 29, 30, 39]] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_one_cycle_rises_and_falls():
    found = rates(steps=25, schedule="one-cycle")
    assert found[0] == pytest.approx(0.1 / 25)
    assert found.max() == pytest.approx(0.1)
    assert found.argmax() == 29  # 30 % of 100 steps
    assert found[-1] == pytest.approx(0.1 / 250_000, rel=1e-5)
    assert (np.diff(found[:30]) > 0).all()
    assert (np.diff(found[29:]) < 0).all()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "square", "exponential", "one-cycle"])
def test_the_shortest_run_has_rates(schedule):
    found = rates(steps=1, epochs=1, schedule=schedule)
    assert found.shape == (1,)
    assert np.isfinite(found).all()
