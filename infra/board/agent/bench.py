"""Measure the model on this board: latency of one batch and of its parts, images a second, on each device."""

import time
from typing import Any, Dict, List, Sequence

import numpy as np

from .card import Card
from .model import Model
from .release import Release

WARM_UP = 5  # executions before the measurement, as docs/reference/tutorials.md T4 does
PARTS = ("upload", "compute", "download")  # the order of `Model.laps`


def bench(card: Card, release: Release, runs: int, batch: int) -> Dict[str, Any]:
    """Time executions on the golden images, on all devices of the card at the same time, without preprocessing.

    Args:
        card: with the loaded model.
        release: of the model.
        runs: number of timed executions on each device.
        batch: images in each execution.

    Returns:
        release, runs, batch; images_a_second of all devices together; for each device its number, images_a_second,
        and the milliseconds of a whole execution and of its parts.
    """
    images, _ = release.golden()
    pixels = np.resize(images, (batch, *images.shape[1:]))
    devices = card.each(lambda model: _measure(model, release.tensor(pixels, model), runs))
    together = sum(device["images_a_second"] for device in devices)
    return {"release": release.id, "runs": runs, "batch": batch, "images_a_second": together, "devices": devices}


def _measure(model: Model, tensor: Any, runs: int) -> Dict[str, Any]:
    """Time one device."""
    for _ in range(WARM_UP):
        model.infer(tensor)
    whole: List[float] = []
    parts: List[Sequence[float]] = []
    for _ in range(runs):
        began = time.perf_counter()
        model.infer(tensor)
        whole.append((time.perf_counter() - began) * 1000)
        parts.append(model.laps)
    result: Dict[str, Any] = {"device": model.device.number, "whole": _figures(whole)}
    result.update((name, _figures(times)) for name, times in zip(PARTS, zip(*parts)))  # noqa: B905 - Python 3.6
    result["images_a_second"] = len(tensor) * 1000 / result["whole"]["mean"]
    return result


def _figures(times: Sequence[float]) -> Dict[str, float]:
    """Milliseconds in figures."""
    figures = {f"p{percentile}": float(np.percentile(times, percentile)) for percentile in (50, 90, 99)}
    return dict(figures, mean=float(np.mean(times)), least=float(min(times)), most=float(max(times)))
