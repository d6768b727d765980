import math
from typing import Any

import numpy as np
import pytest

from models.spec.recipes import resolve
from models.spec.train_spec import TrainSpec, with_fields
from models.training.schedules import learning_rates


def rates(steps: int = 10, **values: Any) -> Any:
    return learning_rates(with_fields(TrainSpec(), {"epochs": 4, "learning_rate": 0.1, **values}), steps)


def test_constant() -> None:
    assert rates(schedule="constant") == pytest.approx([0.1] * 40)


def test_cosine_is_the_tuning_tutorial_s_formula() -> None:
    expected = [0.5 * 0.1 * (1 + math.cos(math.pi * i / 40)) for i in range(40)]
    assert rates(schedule="cosine") == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_cosine_with_warm_up_is_the_tuning_tutorial_s_formula() -> None:
    """docs/reference/tutorials.md T4: the decay counts every step, those of the warm-up too."""
    expected = [0.02 + 0.08 / 10 * i if i < 10 else 0.05 * (1 + math.cos(math.pi * i / 40)) for i in range(40)]
    assert rates(schedule="cosine", warmup_epochs=1, warmup_rate=0.02) == pytest.approx(expected, rel=1e-6, abs=1e-9)


STEPS = 1562  # an epoch of 50,000 images, 32 a batch


@pytest.mark.parametrize("recipe", ["resnet50-tutorial", "resnet50-board"])
def test_the_rates_of_the_resnet_recipes_are_the_tutorial_s_formula(recipe: str) -> None:
    """docs/reference/tutorials.md T0, step by step as it is written there."""
    lr_init, lr_max, warmup_steps, total_steps = 0.01, 0.1, 5 * STEPS, 90 * STEPS
    expected = []
    for i in range(total_steps):
        if i < warmup_steps:
            expected.append(lr_init + (lr_max - lr_init) / warmup_steps * i)
        else:
            base = 1.0 - (i - warmup_steps) / (total_steps - warmup_steps)
            expected.append(max(0.0, lr_max * base * base))
    np.testing.assert_allclose(learning_rates(resolve(recipe), STEPS), expected, rtol=1e-6, atol=1e-12)


def test_the_rates_of_the_lenet_recipe_are_the_tutorial_s_formula() -> None:
    """docs/reference/tutorials.md T4: a cosine over the whole length."""
    total = 50 * STEPS
    expected = [0.5 * 0.01 * (1 + math.cos(math.pi * i / total)) for i in range(total)]
    np.testing.assert_allclose(learning_rates(resolve("lenet5-tutorial"), STEPS), expected, rtol=1e-5, atol=1e-12)


def test_the_rates_of_the_paper_s_recipe_fall_twice() -> None:
    found = learning_rates(resolve("resnet20-paper"), 390)
    assert len(found) == 63_960
    assert [found[i] for i in (0, 31_979, 31_980, 47_969, 47_970, 63_959)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


@pytest.mark.parametrize(("recipe", "steps", "top"), [("compact", 390, 0.1), ("quick", STEPS, 0.05)])
def test_the_rates_of_our_recipes_rise_for_three_tenths_of_the_steps(recipe: str, steps: Any, top: float) -> None:
    found = learning_rates(resolve(recipe), steps)
    total = resolve(recipe).epochs * steps
    assert found[0] == pytest.approx(top / 25)
    assert found.max() == pytest.approx(top, rel=1e-4)
    assert found.argmax() == pytest.approx(0.3 * total, abs=1.5)
    middle = round((0.3 * total + total) / 2)
    assert found[middle] == pytest.approx(top / 2, rel=0.01)
    assert found[-1] == pytest.approx(top / 250_000, rel=1e-4)


def test_exponential_falls_by_its_factor_an_epoch() -> None:
    found = rates(schedule="exponential", decay_rate=0.5, warmup_epochs=1)
    assert found[[10, 20, 30]] == pytest.approx([0.1, 0.05, 0.025])
    assert found[15] == pytest.approx(0.1 * 0.5**0.5)


def test_stage_falls_at_milestones() -> None:
    found = rates(schedule="stage", milestones="1,3", decay_rate=0.1)
    assert found[[0, 9, 10, 29, 30, 39]] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_one_cycle_rises_and_falls() -> None:
    found = rates(steps=25, schedule="one-cycle")
    assert found[0] == pytest.approx(0.1 / 25)
    assert found.max() == pytest.approx(0.1)
    assert found.argmax() == 29  # 30 % of 100 steps
    assert found[-1] == pytest.approx(0.1 / 250_000, rel=1e-5)
    assert (np.diff(found[:30]) > 0).all()
    assert (np.diff(found[29:]) < 0).all()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "square", "exponential", "one-cycle"])
def test_the_shortest_run_has_rates(schedule: str) -> None:
    found = rates(steps=1, epochs=1, schedule=schedule)
    assert found.shape == (1,)
    assert np.isfinite(found).all()


def test_the_triangle_rises_for_23_percent_of_the_steps_and_falls_after() -> None:
    """Value by value: 0.2 to 1 in 9 of 40 steps, then to 0.07, which the step after the last would have."""
    up = [0.1 * (0.2 + 0.8 * i / 9) for i in range(9)]
    down = [0.1 * (1.0 - 0.93 * i / 31) for i in range(31)]
    assert rates(schedule="triangle") == pytest.approx([*up, *down], rel=1e-6)


def test_the_triangle_of_a_single_step_has_a_rate() -> None:
    assert rates(schedule="triangle", epochs=1, steps=1) == pytest.approx([0.1])
