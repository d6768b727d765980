from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.views import VIEWS, average

IMAGES = np.random.default_rng(5).standard_normal((3, 3, 8, 8)).astype(np.float32)


def network(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits that depend on place, and not evenly on the image."""
    weights = np.random.default_rng(6).standard_normal((4, 3 * 8 * 8)).astype(np.float32)
    return np.asarray(np.tanh(tensor.reshape(len(tensor), -1) @ weights.T), np.float32)


def test_one_view_is_the_image() -> None:
    np.testing.assert_array_equal(average(network, 1)(IMAGES), network(IMAGES))


def test_two_views_are_the_mean_of_image_and_mirror_image() -> None:
    expected = (network(IMAGES) + network(np.ascontiguousarray(IMAGES[..., ::-1]))) / 2
    np.testing.assert_allclose(average(network, 2)(IMAGES), expected, rtol=1e-5)


def test_six_views_are_the_mean_with_both_shifts_half_as_heavy() -> None:
    """Shifts written out by rows and columns: the missing ones repeat the second from the edge."""
    left_up = IMAGES[:, :, [1, 2, 3, 4, 5, 6, 7, 6]][..., [1, 2, 3, 4, 5, 6, 7, 6]]
    right_down = IMAGES[:, :, [1, 0, 1, 2, 3, 4, 5, 6]][..., [1, 0, 1, 2, 3, 4, 5, 6]]
    expected = sum(
        weight * network(np.ascontiguousarray(image))
        for shifted, weight in ((IMAGES, 0.25), (left_up, 0.125), (right_down, 0.125))
        for image in (shifted, shifted[..., ::-1])
    )
    np.testing.assert_allclose(average(network, 6)(IMAGES), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", VIEWS)
def test_the_weights_make_a_mean(count: Any) -> None:
    assert len(VIEWS[count]) == count
    assert sum(view.weight for view in VIEWS[count]) == 1.0
