"""How far the logits of one form of a network are from the checkpoint's, on the same images: over all and by class.

It needs numpy only and keeps to Python 3.6, because a copy of it runs on boards: this arithmetic judges every hop.
"""
# The newer spellings are not those of Python 3.6.

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
        found: those of the other form, [n, classes].
        labels: the true classes, [n].
        names: of the classes, in the order of their numbers.

    Returns:
        What `figures` says of all images, and under `per_class` the same of each class that has images, with its name
        under `class`.

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
    """The figures of some images; an image whose logits are not all finite agrees with nothing and is not right.

    Args:
        expected: float64 [n, classes].
        found: likewise.
        labels: [n].

    Returns:
        images, not_finite (images whose logits are not all numbers), agreement (share with the same top class),
        cosine (mean over the images, of the angle between the two), max_difference (absolute; None when a logit is not
        finite), accuracy (of `found`), accuracy_drop (what it is below that of `expected`).
    """
    finite = np.isfinite(found).all(axis=1)
    best = np.where(finite, found.argmax(axis=1), -1)
    usual = expected.argmax(axis=1)
    hits, usual_hits = int((best == labels).sum()), int((usual == labels).sum())
    return {
        "images": len(labels),
        "not_finite": int((~finite).sum()),
        "agreement": float((best == usual).mean()),
        "cosine": float(_cosines(expected, np.where(finite[:, None], found, 0.0)).mean()),
        "max_difference": float(np.abs(found - expected).max()) if finite.all() else None,
        "accuracy": hits / len(labels),
        "accuracy_drop": (usual_hits - hits) / len(labels),
    }


def objection(numbers: Numbers, min_agreement: float, max_accuracy_drop: float) -> Optional[str]:
    """Why a comparison does not pass, with the class that is worst; None when it passes.

    Args:
        numbers: what `compare` gave.
        min_agreement: least share of images with the same top class.
        max_accuracy_drop: most that the accuracy may fall.
    """
    reasons = []
    if numbers["not_finite"]:
        reasons.append("{not_finite} of {images} images give logits that are not numbers".format(**numbers))
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
    """The figures of the class that agrees least; of equals, the one whose accuracy falls most."""
    rows = numbers["per_class"]  # type: List[Numbers]
    return min(rows, key=lambda row: (row["agreement"], -row["accuracy_drop"]))


def _cosines(one: "np.ndarray[Any, Any]", two: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The cosine of each image's two vectors, each scaled first so that no square overflows; 0 beside a zero vector."""
    one, two = (rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300) for rows in (one, two))
    lengths = np.sqrt((one * one).sum(axis=1) * (two * two).sum(axis=1))
    return np.where(lengths > 0, (one * two).sum(axis=1) / np.maximum(lengths, 1e-300), 0.0)
