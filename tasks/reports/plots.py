"""Pictures of numbers, as PNG files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def confusion_matrix(metrics: Mapping[str, Any], path: Path) -> None:
    """Draw the confusion matrix (rows: the true class, columns: the answer; counts) to a PNG file."""
    matrix = np.asarray(metrics["confusion_matrix"], np.int64)
    names = [row["class"] for row in metrics["per_class"]]
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if count > matrix.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class")
    axes.set_title(f"{matrix.sum():,} images, accuracy {metrics['accuracy']:.4f}")
    figure.colorbar(image, ax=axes, label="images")
    figure.savefig(path, dpi=110, metadata={"Software": None})
