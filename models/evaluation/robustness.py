"""Evaluate a checkpoint on corrupted images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..data.images import Images, read_contract, read_images
from ..failures import Damage, InputError
from ..files import replacing, write_json
from ..protocol import event, log
from ..training import scoring
from ..training.checkpoint import load_checkpoint
from .inference import logits as run
from .inference import network_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mindspore import nn

    from ..spec.train_spec import TrainSpec

_CLEAN = "clean"


def evaluate(
    spec: TrainSpec, build: Callable[[TrainSpec], nn.Cell], data: Path, corrupted: Path, checkpoint: Path, output: Path
) -> None:
    """Write `robustness.json` and `predictions.npz` into `output`.

    `robustness.json` is the result of `summary`. `predictions.npz` holds the predicted classes, uint16 [n], under
    `clean` and `<corruption>-<severity>`, and `labels`, uint16 [n].

    Args:
        spec: specification of the training.
        build: builds the network.
        data: data set; its first evaluation images are compared with the corrupted ones.
        corrupted: folder with a data set in each `<corruption>/<severity>/`: the same images in the same order, in its
            part `eval`.
        checkpoint: path of the parameters.
        output: folder for the results.

    Raises:
        Failure: images or checkpoint are missing, damaged, from another data set, or do not fit the specification.
    """
    sets = _read_sets(spec, data, corrupted)
    contract = read_contract(data, spec)
    network = build(spec)
    load_checkpoint(checkpoint, network)
    forward = network_forward(network)
    log("Start run evaluation.")
    answers, accuracies = {}, {}
    for done, (name, images) in enumerate(sets.items(), 1):
        logits = run(forward, images.pixels, contract)
        answers[name] = logits.argmax(axis=1).astype(np.uint16)
        accuracies[name] = scoring.accuracy(logits, images.labels)
        log(f"{name}: accuracy {accuracies[name]:.4f}")
        event("progress", done=done, total=len(sets))
    with replacing(output / "predictions.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, labels=sets[_CLEAN].labels.astype(np.uint16), **answers)
    write_json(output / "robustness.json", summary(accuracies, len(sets[_CLEAN])))


def summary(accuracies: Mapping[str, float], images: int) -> dict[str, object]:
    """Compute the content of `robustness.json`.

    The mean corruption error is the mean, over the corruptions, of the mean error over their severities: a plain mean,
    where the paper divides by AlexNet's errors for ImageNet-C (D. Hendrycks and T. Dietterich 2019, section 4.1).

    Args:
        accuracies: accuracy, 0 to 1, of `clean` and each `<corruption>-<severity>`.
        images: number of images in each set.
    """
    table: dict[str, dict[str, float]] = {}
    for name, accuracy in accuracies.items():
        corruption, _, severity = name.rpartition("-")
        if corruption:
            table.setdefault(corruption, {})[severity] = accuracy
    errors = {name: 1.0 - float(np.mean(list(row.values()))) for name, row in table.items()}
    return {
        "images": images,
        "clean_accuracy": accuracies[_CLEAN],
        "accuracy": table,
        "corruption_error": errors,
        "mean_corruption_error": float(np.mean(list(errors.values()))),
    }


def _read_sets(spec: TrainSpec, data: Path, corrupted: Path) -> dict[str, Images]:
    """Read the clean images, then the corrupted ones by name."""
    folders = sorted(path for path in corrupted.glob("*/*") if path.is_dir())
    if not folders:
        raise InputError(f"no corrupted images in {corrupted}", "name the output folder of the stage corrupt")
    sets = {f"{path.parent.name}-{path.name}": read_images(path, "eval", spec.classes) for path in folders}
    clean = read_images(data, "eval", spec.classes)
    count = len(next(iter(sets.values())))
    for name, images in sets.items():
        if not np.array_equal(images.labels, clean.labels[:count]):
            raise Damage(f"the labels of {name} in {corrupted} differ from those of {data}", "corrupt the images again")
    return {_CLEAN: Images(clean.pixels[:count], clean.labels[:count], clean.sha256), **sets}
