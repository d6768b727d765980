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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mindspore import nn
    from numpy.typing import NDArray

    from ..spec.train_spec import TrainSpec


def evaluate(
    spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, checkpoint: Path, output: Path
) -> None:
    """Write `metrics.json` and `predictions.npz` (logits float32 [n, classes], labels int32 [n]) into `output`.

    Raises:
        Failure: data or checkpoint are missing, damaged or do not fit the specification.
    """
    images = read_images(data, "eval", spec.classes)
    network = build(spec)
    load_checkpoint(checkpoint, network)
    log("Start run evaluation.")
    logits = run(
        network_forward(network),
        images.pixels,
        read_contract(data, spec),
        progress=lambda done, total: event("progress", done=done, total=total),
    )
    result = summary(logits, images.labels, class_names(data)[: spec.classes])
    log(f"Evaluation result: {{'acc': {result['accuracy']}}}.")
    with replacing(output / "predictions.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, logits=logits, labels=images.labels)
    write_json(output / "metrics.json", result)


def summary(logits: NDArray[np.float32], labels: NDArray[np.int32], names: Sequence[str]) -> dict[str, object]:
    """Compute all figures of one set of predictions.

    Args:
        logits: float32 [n, classes].
        labels: int32 [n].
        names: of the classes.
    """
    predicted = logits.argmax(axis=1)
    hits = int((predicted == labels).sum())
    confusion = metrics.confusion_matrix(predicted, labels, len(names))
    return {
        "images": len(labels),
        "accuracy": scoring.accuracy(logits, labels),
        "accuracy_interval_95": list(metrics.wilson_interval(hits, len(labels))),
        "top5_accuracy": metrics.top_accuracy(logits, labels, min(5, len(names))),
        "loss": scoring.cross_entropy(logits, labels),
        "classes": list(names),
        "per_class": metrics.per_class(confusion, names),
        "confusion_matrix": confusion.tolist(),
        "calibration": metrics.calibration(logits, labels),
        "confident_mistakes": metrics.confident_mistakes(logits, labels, names),
    }
