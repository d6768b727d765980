"""Logits of many images, in batches of one size, so that one compiled graph serves all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mindspore
import numpy as np

from ..preprocess import Normalisation, normalise, resize

if TYPE_CHECKING:
    from collections.abc import Callable

    from mindspore import nn
    from numpy.typing import NDArray

BATCH = 100


def network_forward(network: nn.Cell) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A network as a function of arrays; it is put into inference mode at each call."""

    def forward(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        network.set_train(False)
        result: NDArray[np.float32] = network(mindspore.Tensor(tensor)).asnumpy()
        return result

    return forward


def logits(
    forward: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pixels: NDArray[np.uint8],
    size: int,
    normalisation: Normalisation,
    *,
    batch: int = BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Run images through a network.

    Args:
        forward: float32 [batch, 3, size, size] to logits [batch, classes].
        pixels: uint8 [n, height, width, 3], RGB; n at least 1.
        size: height and width in pixels of the network's input.
        normalisation: the contract.
        batch: images a call; the last batch is filled up with black ones, whose logits are dropped.
        progress: is told (done, total) images after each batch.

    Returns:
        float32 [n, classes].
    """
    results = []
    for first in range(0, len(pixels), batch):
        part = resize(pixels[first : first + batch], size)
        missing = batch - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, size, size, 3), np.uint8)])
        results.append(forward(normalise(part, normalisation))[: batch - missing])
        if progress is not None:
            progress(min(first + batch, len(pixels)), len(pixels))
    return np.asarray(np.concatenate(results), np.float32)
