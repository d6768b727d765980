"""Learning rate schedules, one value per step.

With i the step from 0, w the number of warm-up steps, T the number of all steps, and base the highest rate
(docs/reference/tutorials.md T0, T4):

    warm-up       first + (base - first) · i / w                      while i < w
    constant      base
    square        base · (1 - (i - w) / (T - w))²
    cosine        base / 2 · (1 + cos(π · i / T))                     counted from the first step, with warm-up too
    exponential   base · decay ^ (epochs since the warm-up)
    stage         base · decay ^ (milestones passed)
    one-cycle     from base / 25 to base over 30 % of the steps, then down to base / 250,000, both along a cosine
                  (L. Smith and N. Topin 2017, with the usual constants of deep-learning libraries)
    triangle      from 0.2 base to base over 23 % of the steps, then down to 0.07 base after the last, both straight
                  (K. Jordan 2024, arXiv 2404.00498)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec

_RISE = 0.3
_START = 25.0
_END = 250_000.0
_TRIANGLE = (0.2, 0.23, 0.07)  # start, place of the peak, end


def learning_rates(spec: TrainSpec, steps_per_epoch: int) -> NDArray[np.float32]:
    """Return the learning rate of each step.

    Args:
        spec: the training specification.
        steps_per_epoch: batches per epoch.

    Returns:
        float32 [epochs · steps_per_epoch].
    """
    total = spec.epochs * steps_per_epoch
    warm = spec.warmup_epochs * steps_per_epoch
    step = np.arange(total, dtype=np.float64)
    base = spec.learning_rate
    if spec.schedule == "cosine":
        rates = np.asarray(0.5 * base * (1.0 + np.cos(np.pi * step / total)), np.float64)
    else:
        after = np.maximum(step - warm, 0.0)
        rates = _after_warmup(spec, after, total - warm, step // steps_per_epoch, steps_per_epoch)
    if warm:
        rising = spec.warmup_rate + (base - spec.warmup_rate) * step / warm
        rates = np.where(step < warm, rising, rates)
    return rates.astype(np.float32)


def _after_warmup(
    spec: TrainSpec, step: NDArray[np.float64], total: int, epoch: NDArray[np.float64], steps_per_epoch: int
) -> NDArray[np.float64]:
    base = spec.learning_rate
    if spec.schedule == "constant":
        return np.full(len(step), base)
    if spec.schedule == "square":
        return np.asarray(base * (1.0 - step / total) ** 2, np.float64)
    if spec.schedule == "exponential":
        return np.asarray(base * spec.decay_rate ** (step / steps_per_epoch), np.float64)
    if spec.schedule == "stage":
        passed = np.searchsorted(np.asarray(spec.milestones), epoch, side="right")
        return np.asarray(base * spec.decay_rate**passed, np.float64)
    if spec.schedule == "triangle":
        start, peak, end = _TRIANGLE
        return np.asarray(base * np.interp(step, [0, int(peak * total), total], [start, 1.0, end]), np.float64)
    return _one_cycle(base, step, total)


def _one_cycle(base: float, step: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    top = max(_RISE * total - 1.0, 1.0)
    last = max(total - 1.0, top + 1.0)
    up = np.clip(step / top, 0.0, 1.0)
    down = np.clip((step - top) / (last - top), 0.0, 1.0)
    rising = base + (base / _START - base) * 0.5 * (1.0 + np.cos(np.pi * up))
    falling = base / _END + (base - base / _END) * 0.5 * (1.0 + np.cos(np.pi * down))
    return np.where(step <= top, rising, falling)
