"""Evaluate a checkpoint: predictions, and metrics that depend on them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data.images import class_names, read_contract, read_images
from ..files import replacing, write_json
from ..protocol import event, log
from ..training import scoring
from ..training.checkpoint import load_checkpoint
from . import metrics
from .inference import logits as run
from .inference import network_forward
from .views import average

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mindspore import nn
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec


def evaluate(
    spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, checkpoint: Path, output: Path, views: int = 1
) -> None:
    """Write `metrics.json` and `predictions.npz` (logits float32 [n, classes], labels int32 [n]) into `output`.

    With several `views` (a key of `VIEWS`), the files also have their mean logits and what these are worth; all other
    figures are those of the plain images, since an exported model sees them.

    Raises:
        Failure: data or checkpoint are missing, damaged or do not fit the specification.
    """
    images = read_images(data, "eval", spec.classes)
    network = build(spec)
    load_checkpoint(checkpoint, network)
    log("Start run evaluation.")
    forward, contract = network_forward(network), read_contract(data, spec)

    def progress(done: int, total: int) -> None:
        event("progress", done=done, total=total)

    logits = run(forward, images.pixels, contract, progress=progress)
    result = summary(logits, images.labels, class_names(data)[: spec.classes])
    log(f"Evaluation result: {{'acc': {result['accuracy']}}}.")
    arrays = {"logits": logits, "labels": images.labels}
    if views > 1:
        arrays["view_logits"] = mean = run(average(forward, views), images.pixels, contract, progress=progress)
        result["views"] = {"count": views, **_worth(mean, images.labels)}
        log(f"with {views} views of each image: {result['views']}")
    with replacing(output / "predictions.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    write_json(output / "metrics.json", result)


def _worth(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> dict[str, object]:
    hits = int((logits.argmax(axis=1) == labels).sum())
    return {
        "accuracy": scoring.accuracy(logits, labels),
        "accuracy_interval_95": list(metrics.wilson_interval(hits, len(labels))),
        "loss": scoring.cross_entropy(logits, labels),
    }


def summary(logits: NDArray[np.float32], labels: NDArray[np.int32], names: Sequence[str]) -> dict[str, object]:
    """Compute all figures of one set of predictions.

    Args:
        logits: float32 [n, classes].
        labels: int32 [n].
        names: of the classes.
    """
    predicted = logits.argmax(axis=1)
    confusion = metrics.confusion_matrix(predicted, labels, len(names))
    return {
        "images": len(labels),
        **_worth(logits, labels),
        "top5_accuracy": metrics.top_accuracy(logits, labels, min(5, len(names))),
        "classes": list(names),
        "per_class": metrics.per_class(confusion, names),
        "confusion_matrix": confusion.tolist(),
        "calibration": metrics.calibration(logits, labels),
        "confident_mistakes": metrics.confident_mistakes(logits, labels, names),
    }
