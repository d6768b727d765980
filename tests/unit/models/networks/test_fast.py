"""The network of few epochs: its shapes, its initial values, and the slow copy of its training."""

import json
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("look_at_fast.py")


@pytest.fixture(scope="module")
def found(run: Any) -> Any:
    done = run(main=PROGRAM)
    assert done.code == 0, done.errors
    return json.loads(done.lines[-1])


@pytest.mark.mindspore
def test_convolutions_start_as_the_identity_and_the_whitening_does_not_learn(found: Any) -> None:
    convolutions = [24 * 64 * 9, 64 * 64 * 9, 64 * 256 * 9, *[256 * 256 * 9] * 3]
    assert found["trainable"] == sum(convolutions) + 2 * (64 + 256 + 256) + 2560 == 1_971_328
    assert found["identity"] == 0.0
    assert found["shapes"] == {"16": [2, 10], "32": [2, 10], "47": [2, 10], "32, half as wide": [2, 4]}


@pytest.mark.mindspore
def test_whitened_patches_are_uncorrelated_with_variance_one(found: Any) -> None:
    """Against NumPy's own covariance of all 2×2 patches of random correlated images."""
    assert found["whitened"] < 0.01
    assert found["opposites"] == 0.0


@pytest.mark.mindspore
def test_the_slow_copy_moves_less_and_less_and_the_parameters_go_on_from_it(found: Any) -> None:
    """A parameter that grows by 1 a step, every second of six steps: worked out here from the formula."""
    value = copy = 0.0
    expected = []
    for step in range(1, 7):
        value += 1.0
        if step % 2 == 0:
            kept = 0.95**5 * (step / 6) ** 3
            value = copy = kept * copy + (1 - kept) * value
        expected.append([value, copy])
    assert found["lookahead"] == [pytest.approx(pair, rel=1e-6) for pair in expected]


@pytest.mark.mindspore
def test_biases_of_normalisations_learn_faster_and_decay_alike(found: Any) -> None:
    assert found["groups"] == {"beta": pytest.approx([6.4, 0.01 / 64]), "others": pytest.approx([0.1, 0.01])}
