"""Logits of many images in batches of constant size, so that one compiled graph is sufficient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mindspore
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from mindspore import nn
    from numpy.typing import NDArray

    from ..data.images import Pixels
    from ..preprocess import Contract

BATCH = 100


def network_forward(network: nn.Cell) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return a network as a function of arrays; each call sets inference mode."""

    def forward(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        network.set_train(False)
        result: NDArray[np.float32] = network(mindspore.Tensor(tensor)).asnumpy()
        return result

    return forward


def logits(
    forward: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pixels: Pixels,
    contract: Contract,
    *,
    batch: int = BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Run images through a network.

    Args:
        forward: float32 [batch, 3, size, size] to logits [batch, classes].
        pixels: uint8 [n, height, width, 3], RGB; n at least 1.
        contract: the input contract of the network.
        batch: images per call; the last batch is padded with black images, whose logits are dropped.
        progress: called with (done, total) images after each batch.

    Returns:
        float32 [n, classes].
    """
    results = []
    for first in range(0, len(pixels), batch):
        part = contract.resize(pixels[first : first + batch])
        missing = batch - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
        results.append(forward(contract.tensor(part))[: batch - missing])
        if progress is not None:
            progress(min(first + batch, len(pixels)), len(pixels))
    return np.asarray(np.concatenate(results), np.float32)
