"""The model card of a release: description, training, quality and limits of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.metrics import Metrics
    from tasks.release.parity_report import ParityRow

_CIFAR10 = "- Data: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009."
_PARITY = (
    "from", "to", "images", "agreement", "cosine", "max difference", "accuracy", "worst class", "bytes", "verdict",
)  # fmt: skip


def markdown(
    recipe: Mapping[str, Any],
    metrics: Metrics,
    checks: Mapping[str, Any],
    parity: Sequence[ParityRow],
    digests: Mapping[str, str],
) -> str:
    """Write the card.

    Args:
        recipe: every field of the training specification.
        metrics: of the evaluation (`metrics.json`).
        checks: the check of each exported format (`checks.json`).
        parity: the rows of the parity ledger (`tasks.release.parity_report.rows`).
        digests: name to SHA-256, of data, checkpoint and exported files.
    """
    lines = [
        f"# {recipe['network']} for {len(metrics.classes)} classes",
        "",
        f"Classifies {recipe['image_size']}×{recipe['image_size']} colour images into {recipe['classes']} classes: "
        f"{', '.join(metrics.classes)}.",
        "",
        *_quality(metrics),
        *_table("Training", ("field", "value"), sorted(recipe.items())),
        *_table("Formats", ("format", "logits against the checkpoint"), [(k, _check(v)) for k, v in checks.items()]),
        *_table("Parity", _PARITY, _parity_cells(parity)),
        *_table("Digests", ("file", "SHA-256"), [(name, f"`{digest}`") for name, digest in digests.items()]),
        *_limits(recipe, metrics),
    ]
    return "\n".join(lines) + "\n"


def _quality(metrics: Metrics) -> list[str]:
    low, high = metrics.interval
    return [
        "## Quality",
        "",
        f"Accuracy {metrics.accuracy:.4f} on {metrics.images:,} evaluation images "
        f"(95 % Wilson interval {low:.4f} – {high:.4f}), mean loss {metrics.loss:.4f}.",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row.name} | {row.precision:.3f} | {row.recall:.3f} | {row.f1:.3f} | {row.support} |"
            for row in metrics.per_class
        ),
        "",
    ]


def _table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [f"| {' | '.join(map(str, row))} |" for row in (columns, *rows)]
    return [f"## {heading}", "", lines[0], f"|{'---|' * len(columns)}", *lines[1:], ""]


def _parity_cells(rows: Sequence[ParityRow]) -> list[list[str | float]]:
    return [[cells[column] for column in _PARITY] for cells in (row.cells() for row in rows)]


def _limits(recipe: Mapping[str, Any], metrics: Metrics) -> list[str]:
    from models.data.records import NAMES  # imports NumPy, which a run without work does not need

    weakest = min(metrics.per_class, key=lambda row: row.recall)
    return [
        "## Limits",
        "",
        f"- It has {recipe['classes']} classes and answers one of them for any picture.",
        f"- It recognises {weakest.name} worst: recall {weakest.recall:.3f}.",
        "- Input is RGB, normalised as `preprocess.py` says; another colour order or scale gives wrong answers "
        "without an error.",
        *([_CIFAR10] if tuple(metrics.classes) == NAMES else []),
    ]


def _check(check: Mapping[str, Any]) -> str:
    if not check["made"]:
        return f"not made: {check['reason']}"
    label = f" ({check['label']})" if "label" in check else ""
    if "unchecked" in check:
        return f"not executed here: {check['unchecked']}{label}"
    return (
        f"largest difference {check['max_difference']:.2g} on {check['images']:,} images, "
        f"same top class on {check['agreement']:.2%}{label}"
    )


def own_model_markdown(
    name: str,
    classes: Sequence[str],
    accuracy: float | None,
    images: int,
    changes: Sequence[str],
    parity: Sequence[ParityRow],
    digests: Mapping[str, str],
) -> str:
    """Write the card of a model that this chain did not train.

    Args:
        name: of the model's file.
        classes: names, by number.
        accuracy: of the model itself on the evaluation images, 0 to 1; None where their classes are not known.
        images: their number.
        changes: to the file before its compilation, and other findings.
        parity: the rows of the parity ledger.
        digests: name to SHA-256 of the model and the data set.
    """
    lines = [
        f"# {name}",
        "",
        f"A model from outside (`convert.model`) with {len(classes)} classes: {', '.join(classes)}. "
        "This chain compiled it and did not train it: how it was trained is not known here.",
        "",
        f"Its own accuracy is {accuracy:.4f} on {images:,} evaluation images."
        if accuracy is not None
        else f"The classes of the {images:,} pictures are not known, so its accuracy is not, and the figures below "
        "compare with its own answers.",
        "",
        *(["## Changes before the compilation", "", *(f"- {change}" for change in changes), ""] if changes else []),
        *_table("Parity", _PARITY, _parity_cells(parity)),
        *_table("Digests", ("file", "SHA-256"), [(name, f"`{digest}`") for name, digest in digests.items()]),
    ]
    return "\n".join(lines) + "\n"
