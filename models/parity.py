"""Compare the logits of a converted network with those of the checkpoint on the same images, overall and per class.

A copy of this module runs on boards: numpy only, Python 3.6 syntax.
"""

from typing import Any, Dict, List, Optional, Sequence  # noqa: F401 - some only for the types

import numpy as np

Numbers = Dict[str, Any]


def compare(
    expected: "np.ndarray[Any, Any]",
    found: "np.ndarray[Any, Any]",
    labels: "np.ndarray[Any, Any]",
    names: Sequence[str],
) -> Numbers:
    """Compare two sets of logits of the same images.

    Args:
        expected: the checkpoint's logits, [n, classes]; n at least 1, all finite.
        found: logits of the converted network, [n, classes].
        labels: the true classes, [n].
        names: class names in the order of their numbers.

    Returns:
        The values of `figures` for all images and, under `per_class`, for each class that has images, with its
        name under `class`.

    Raises:
        ValueError: the shapes differ.
    """
    expected, found = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    labels = np.asarray(labels)
    if expected.shape != found.shape or expected.ndim != 2 or labels.shape != expected.shape[:1]:
        shapes = f"{list(expected.shape)}, {list(found.shape)} and labels {list(labels.shape)}"
        raise ValueError(f"logits of the shapes {shapes} cannot be compared")
    result = figures(expected, found, labels)
    result["per_class"] = [
        dict(figures(expected[labels == number], found[labels == number], labels[labels == number]), **{"class": name})
        for number, name in enumerate(names)
        if (labels == number).any()
    ]
    return result


def figures(expected: "np.ndarray[Any, Any]", found: "np.ndarray[Any, Any]", labels: "np.ndarray[Any, Any]") -> Numbers:
    """Compute the figures of a set of images. An image with a NaN or infinite logit counts as a wrong answer.

    Args:
        expected: float64 [n, classes].
        found: float64 [n, classes].
        labels: [n].

    Returns:
        images, not_finite (images with a NaN or infinite logit), agreement (share with the same top class), cosine
        (mean cosine similarity), max_difference (largest absolute difference; None when a logit is not finite),
        accuracy (of `found`), accuracy_drop (accuracy of `expected` minus that of `found`).
    """
    finite = np.isfinite(found).all(axis=1)
    best = np.where(finite, found.argmax(axis=1), -1)
    expected_best = expected.argmax(axis=1)
    hits, expected_hits = int((best == labels).sum()), int((expected_best == labels).sum())
    return {
        "images": len(labels),
        "not_finite": int((~finite).sum()),
        "agreement": float((best == expected_best).mean()),
        "cosine": float(_cosines(expected, np.where(finite[:, None], found, 0.0)).mean()),
        "max_difference": float(np.abs(found - expected).max()) if finite.all() else None,
        "accuracy": hits / len(labels),
        "accuracy_drop": (expected_hits - hits) / len(labels),
    }


def failure_reason(numbers: Numbers, min_agreement: float, max_accuracy_drop: float) -> Optional[str]:
    """Return why a comparison fails, with the worst class; None when it passes.

    Args:
        numbers: result of `compare`.
        min_agreement: minimum share of images with the same top class.
        max_accuracy_drop: maximum loss of accuracy.
    """
    reasons = []
    if numbers["not_finite"]:
        reasons.append("{not_finite} of {images} images have NaN or infinite logits".format(**numbers))
    if numbers["agreement"] < min_agreement:
        reasons.append("agreement {:.4f} is below {:.4f}".format(numbers["agreement"], min_agreement))
    if numbers["accuracy_drop"] > max_accuracy_drop:
        reasons.append("accuracy falls by {:.4f}, more than {:.4f}".format(numbers["accuracy_drop"], max_accuracy_drop))
    if not reasons:
        return None
    worst = worst_class(numbers)
    return "{}; worst is {} (agreement {:.4f} on {} images)".format(
        ", ".join(reasons), worst["class"], worst["agreement"], worst["images"]
    )


def worst_class(numbers: Numbers) -> Numbers:
    """Return the figures of the class with the lowest agreement; of equals, the largest loss of accuracy."""
    rows = numbers["per_class"]  # type: List[Numbers]
    return min(rows, key=lambda row: (row["agreement"], -row["accuracy_drop"]))


def _cosines(one: "np.ndarray[Any, Any]", two: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the cosine similarity of each row, 0 for a zero vector. Rows are scaled first to avoid overflow."""
    one, two = (rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300) for rows in (one, two))
    lengths = np.sqrt((one * one).sum(axis=1) * (two * two).sum(axis=1))
    return np.where(lengths > 0, (one * two).sum(axis=1) / np.maximum(lengths, 1e-300), 0.0)
