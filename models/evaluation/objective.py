"""The tuning tutorial's objective: accuracy, then size, then latency. Standard library only.

Source: docs/reference/tutorials.md T4.
"""

from __future__ import annotations


def size_mb(parameters: int) -> float:
    """Return the size in the tuning score: four bytes per trainable parameter, in MB (10⁶ bytes)."""
    return parameters * 4 / 1e6


def score(accuracy: float, megabytes: float, milliseconds: float) -> float:
    """Return 0.50 · accuracy(%) - 0.35 · size(MB) - 0.15 · latency(ms), docs/reference/tutorials.md T4.

    Args:
        accuracy: 0 to 1.
        megabytes: result of `size_mb`.
        milliseconds: mean latency of one image.
    """
    return 0.50 * 100 * accuracy - 0.35 * megabytes - 0.15 * milliseconds
