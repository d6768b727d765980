"""The picture of a robustness measurement."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def accuracies(found: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy over severity, a line a corruption; severity 0 is the clean images.

    Args:
        found: what `models.evaluation.robustness.summary` gives.
        path: the PNG file.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, row in found["accuracy"].items():
        points = sorted((int(severity), accuracy) for severity, accuracy in row.items())
        severities, values = zip((0, found["clean_accuracy"]), *points, strict=True)
        axes.plot(severities, values, marker=".", label=name.replace("_", " "))
    axes.set_xticks(range(6))
    axes.set_ylim(0, 1)
    axes.set_xlabel("severity")
    axes.set_ylabel("accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right", fontsize=8)
    axes.set_title(f"{found['images']:,} images, mean corruption error {found['mean_corruption_error']:.4f}")
    figure.savefig(path, dpi=110, metadata={"Software": None})
