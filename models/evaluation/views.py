"""Evaluation on several views of each image: what a network answers on the average of mirrored and shifted copies.

The views are those of K. Jordan 2024 (arXiv 2404.00498). An exported model sees one view, so this is a figure besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class View:
    """A copy of an image and its weight: shifted down and right by pixels, continued at the edge, then mirrored."""

    shift: int
    mirrored: bool
    weight: float

    def of(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the view of images [n, 3, height, width]; the same shape."""
        if self.shift:
            reach = abs(self.shift)
            padded = np.pad(tensor, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="reflect")
            first = reach - self.shift
            tensor = padded[:, :, first : first + tensor.shape[2], first : first + tensor.shape[3]]
        return np.ascontiguousarray(tensor[..., ::-1] if self.mirrored else tensor)


def _both(shift: int, weight: float) -> tuple[View, View]:
    return View(shift, False, weight), View(shift, True, weight)


VIEWS: dict[int, tuple[View, ...]] = {
    1: (View(0, False, 1.0),),
    2: _both(0, 0.5),
    6: (*_both(0, 0.25), *_both(-1, 0.125), *_both(1, 0.125)),
}
"""By their number: the image; its mirror image too; both also a pixel up-left and down-right, with half the weight."""


def average(forward: Forward, count: int) -> Forward:
    """Return the weighted mean of a function's logits over the views of its images.

    Args:
        forward: maps float32 [n, 3, size, size] to logits [n, classes].
        count: a key of `VIEWS`.
    """

    def averaged(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = [np.float32(view.weight) * forward(view.of(tensor)) for view in VIEWS[count]]
        return np.asarray(np.sum(parts, axis=0), np.float32)

    return averaged
