"""The running mean of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEMORY = 0.9


def running_mean(losses: Sequence[float]) -> list[float]:
    """Return the exponential mean after each step, corrected for its start at 0 (D. P. Kingma and J. Ba 2015, §3)."""
    means, mean = [], 0.0
    for count, loss in enumerate(losses, 1):
        mean = _MEMORY * mean + (1 - _MEMORY) * loss
        means.append(mean / (1 - _MEMORY**count))
    return means
