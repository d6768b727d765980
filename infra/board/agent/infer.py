"""Compute the logits of many images, for a comparison elsewhere."""

import time
from typing import Any, Dict, List

import numpy as np

from .failure import USER, Failure
from .model import Model
from .release import Release


def infer(model: Model, release: Release, source: str, target: str) -> Dict[str, Any]:
    """Run the images of a file and write their logits.

    Args:
        model: the loaded model.
        release: of the model.
        source: a NumPy file, uint8 [n, height, width, 3], RGB, n at least 1.
        target: the NumPy file to write, float32 [n, classes].

    Returns:
        images, and milliseconds for one image: the median over the model's executions, with copies to and from the
        device, without preprocessing.

    Raises:
        Failure: the file is not such an array; the device fails.
    """
    try:
        images = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Failure(USER, f"the images {source} cannot be read: {error}") from error
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
        raise Failure(USER, f"{source} holds {images.dtype} {list(images.shape)}, not uint8 [n, height, width, 3]")
    step = model.batches[-1]
    logits: List[Any] = []
    times: List[float] = []
    for start in range(0, len(images), step):
        tensor = release.tensor(images[start : start + step], model)
        began = time.perf_counter()
        logits.append(model.infer(tensor))
        times.append((time.perf_counter() - began) * 1000 / len(tensor))
    np.save(target, np.concatenate(logits))
    return {"release": release.id, "images": len(images), "milliseconds": float(np.median(times))}
