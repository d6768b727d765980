"""Evaluation metrics from logits and labels (numpy, float64)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..preprocess import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NORMAL_95 = 1.959963984540054  # the 0.975 quantile of the standard normal distribution


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion (E. Wilson 1927)."""
    share, z2 = hits / total, _NORMAL_95**2
    middle = share + z2 / (2 * total)
    reach = _NORMAL_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    return max((middle - reach) / (1 + z2 / total), 0.0), min((middle + reach) / (1 + z2 / total), 1.0)


def confusion_matrix(predicted: NDArray[np.int64], labels: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Return int64 [classes, classes]: rows are true classes, columns predicted classes."""
    counts = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes)


def per_class(confusion: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, object]]:
    """Return precision, recall, F1 and support of each class; 0 where the denominator is 0."""
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


def top_accuracy(logits: NDArray[np.float32], labels: NDArray[np.int32], count: int) -> float:
    """Return the share of images with the label among the `count` largest logits; ties: smaller number first."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return float(np.mean((order == labels[:, None]).any(axis=1)))


def calibration(logits: NDArray[np.float32], labels: NDArray[np.int32], bins: int = 15) -> dict[str, object]:
    """Compute the expected calibration error in equal-width bins, with the reliability diagram (C. Guo et al. 2017).

    Returns:
        `error`, and `bins`: for each `upper` edge the number of `images`, their mean `confidence` and their `accuracy`
        (both 0 in an empty bin).
    """
    probabilities = softmax(logits)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows: list[dict[str, object]] = []
    error = 0.0
    for index in range(bins):
        inside = place == index
        count = int(inside.sum())
        mean = float(confidence[inside].mean()) if count else 0.0
        share = float(right[inside].mean()) if count else 0.0
        error += count / len(labels) * abs(share - mean)
        rows.append({"upper": (index + 1) / bins, "images": count, "confidence": mean, "accuracy": share})
    return {"error": error, "bins": rows}


def confident_mistakes(
    logits: NDArray[np.float32], labels: NDArray[np.int32], names: Sequence[str], count: int = 25
) -> list[dict[str, object]]:
    """Return the wrong answers with the highest probability, highest first; `image` is the index of the image."""
    probabilities = softmax(logits)
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    return [
        {
            "image": int(index),
            "label": names[labels[index]],
            "predicted": names[predicted[index]],
            "confidence": float(confidence[index]),
        }
        for index in chosen
    ]
