"""The section of a run's report about accuracy, with some images and their answers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tasks.reports.cache import cached
from tasks.reports.inputs import metrics_of, picture_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.store.receipts import Receipt
    from models.data.images import Pixels
    from tasks.engine.chain import Chain

_SAMPLES = 25
_WORST = 30  # classes in the table


def accuracy(chain: Chain) -> list[str]:
    """Show accuracy with its interval, the classes, the confusion matrix, and some images with their answers."""
    evaluation = chain.known.get("evaluate")
    if evaluation is None:
        return []
    metrics = metrics_of(chain, evaluation)
    low, high = metrics.interval
    lines = [
        "## Accuracy",
        "",
        f"**{metrics.accuracy:.4f}** on {metrics.images:,} evaluation images "
        f"(95 % Wilson interval {low:.4f} – {high:.4f}), mean loss {metrics.loss:.4f}.",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---:|---:|---:|---:|",
    ]
    worst = sorted(metrics.per_class, key=lambda row: row.f1)[:_WORST]
    listed = metrics.per_class if len(metrics.per_class) <= _WORST else worst
    lines += [
        f"| {row.name} | {row.precision:.3f} | {row.recall:.3f} | {row.f1:.3f} | {row.support} |" for row in listed
    ]
    lines.append("")
    if len(listed) < len(metrics.per_class):
        lines += [f"These are the {_WORST} classes with the lowest F1 of {len(metrics.per_class)}.", ""]
    if "confusion" in evaluation.outputs:
        picture = picture_of(chain, evaluation, "confusion")
        lines += [f"![confusion matrix: rows are the true class, columns the answer]({picture})", ""]
    return [*lines, *_samples(chain, evaluation, metrics.classes)]


def _chosen(count: int) -> list[int]:
    """Choose images spread evenly over all, whatever their answers."""
    shown_images = min(count, _SAMPLES)
    return [number * (count - 1) // max(1, shown_images - 1) for number in range(shown_images)]


def _samples(chain: Chain, evaluation: Receipt, names: Sequence[str]) -> list[str]:
    import numpy as np

    def draw() -> bytes:
        from tasks.reports.run_plots import samples

        return samples(_images(chain)[np.array(places)], labels, logits, names)

    if "download" not in chain.known or "predictions" not in evaluation.outputs:
        return []
    with np.load(chain.store.path(evaluation.outputs["predictions"]), allow_pickle=False) as predictions:
        labels, logits = predictions["labels"], predictions["logits"]
    places = _chosen(len(labels))
    labels, logits = labels[places], logits[places]
    inputs = [chain.known["download"].outputs["data"].sha256, evaluation.outputs["predictions"].sha256, *names]
    right = int((logits.argmax(axis=1) == labels).sum())
    return [
        f"Some evaluation images, spread evenly: {right} of these {len(places)} answers are right (✓), "
        f"{len(places) - right} wrong (✗).",
        "",
        f"![evaluation images with their answers]({cached(chain.home, 'samples', inputs, draw)})",
        "",
    ]


def _images(chain: Chain) -> Pixels:
    from models.data.images import read_images

    with TemporaryDirectory() as folder:  # the files stay open
        data = chain.store.link_into(chain.known["download"].outputs["data"], Path(folder))
        return read_images(data, "eval").pixels
