"""The metrics that training uses. Separate from the other metrics, whose changes then repeat no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accuracy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Return the share of images whose largest logit is at the label; ties: smaller class number."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Return the mean of -log softmax at the labels."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    log_sums = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    return float(np.mean(log_sums - wide[np.arange(len(labels)), labels]))
