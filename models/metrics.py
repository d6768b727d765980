"""Figures of a classification, from logits and labels alone (numpy, float64)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NORMAL_95 = 1.959963984540054  # the 0.975 quantile of the standard normal distribution


def accuracy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Share of images whose largest logit is at their label; among equals the smaller class number counts."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Mean of -log softmax at the labels."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    log_sums = top + np.log(np.exp(wide - top[:, None]).sum(axis=1))
    return float(np.mean(log_sums - wide[np.arange(len(labels)), labels]))


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share (E. Wilson 1927)."""
    share, z2 = hits / total, _NORMAL_95**2
    middle = share + z2 / (2 * total)
    reach = _NORMAL_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return max((middle - reach) / (1 + z2 / total), 0.0), min((middle + reach) / (1 + z2 / total), 1.0)


def confusion_matrix(predicted: NDArray[np.int64], labels: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """int64 [classes, classes]: rows are true classes, columns predicted ones."""
    counts = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def per_class(confusion: NDArray[np.int64], names: tuple[str, ...]) -> list[dict[str, object]]:
    """Precision, recall, F1 and support of each class; 0 where there is nothing to divide by."""
    rows: list[dict[str, object]] = []
    for index, name in enumerate(names):
        hits, predicted, support = (
            int(confusion[index, index]),
            int(confusion[:, index].sum()),
            int(confusion[index].sum()),
        )
        precision = hits / predicted if predicted else 0.0
        recall = hits / support if support else 0.0
        both = precision + recall
        rows.append(
            {
                "class": name,
                "precision": precision,
                "recall": recall,
                "f1": 2 * precision * recall / both if both else 0.0,
                "support": support,
            }
        )
    return rows
