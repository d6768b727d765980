"""The smoke test: golden images must give golden logits on this board."""

import time
from typing import Any, Dict, List

import numpy as np
import parity  # type: ignore[import-not-found]  # in the same folder on a board

from .failure import CORRUPT, GATE, Failure
from .model import Model
from .release import Release


def smoke(model: Model, release: Release) -> Dict[str, Any]:
    """Run the golden images and compare.

    Returns:
        The figures of `parity.compare`, with tolerance (of max_difference) and milliseconds (for one image).

    Raises:
        Failure: the outputs differ from the golden ones.
    """
    images, golden = release.golden()
    if len(images) == 0 or len(images) != len(golden):
        raise Failure(CORRUPT, f"{len(images)} golden images, {len(golden)} golden outputs", "deploy the release again")
    began = time.perf_counter()
    logits = model.infer(release.tensor(images, model))
    milliseconds = (time.perf_counter() - began) * 1000 / len(images)
    if logits.shape != golden.shape:
        raise Failure(GATE, f"the model answers with {list(logits.shape)}, golden are {list(golden.shape)}")
    numbers = parity.compare(golden, logits, release.golden_labels(), release.labels)
    difference = float(np.abs(logits - golden).max())
    if not difference <= release.tolerance:  # also for NaN
        worst = parity.worst_class(numbers)
        raise Failure(
            GATE,
            f"smoke test failed: logits differ from the golden ones by up to {difference:.4g} "
            f"(allowed: {release.tolerance:.4g}); {numbers['agreement']:.0%} of the top classes agree, "
            f"worst is {worst['class']}",
            "the model computes other values here than after training; do not use it",
        )
    return dict(numbers, max_difference=difference, tolerance=release.tolerance, milliseconds=milliseconds)


def worst(results: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Of the smoke tests of several devices, the one that is farthest from the golden outputs."""
    return max(results, key=lambda result: float(result["max_difference"]))
