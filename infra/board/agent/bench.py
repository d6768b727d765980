"""Measure the model on this board: latency of one batch, images a second."""

import time
from typing import Any, Dict

import numpy as np

from .model import Model
from .release import Release

WARM_UP = 5  # executions before the measurement, as docs/reference/tutorials.md T4 does
PERCENTILES = (50, 90, 99)


def bench(model: Model, release: Release, runs: int, batch: int) -> Dict[str, Any]:
    """Time executions on the golden images, with copies to and from the device, without preprocessing.

    Args:
        model: the loaded model.
        release: of the model.
        runs: number of timed executions.
        batch: images in each execution.
    """
    images, _ = release.golden()
    tensor = release.tensor(np.resize(images, (batch, *images.shape[1:])), model)
    for _ in range(WARM_UP):
        model.infer(tensor)
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        model.infer(tensor)
        times.append((time.perf_counter() - began) * 1000)
    result: Dict[str, Any] = {"release": release.id, "runs": runs, "batch": batch}
    for percentile in PERCENTILES:
        result[f"p{percentile}_milliseconds"] = float(np.percentile(times, percentile))
    result["mean_milliseconds"] = float(np.mean(times))
    result["images_a_second"] = batch * 1000 / result["mean_milliseconds"]
    return result
