"""Evaluate: checkpoint and data set → metrics, predictions, per-class table, and what pictures say of them."""

from __future__ import annotations

import csv
from dataclasses import astuple
from typing import TYPE_CHECKING

from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.metrics import Metrics
from tasks.specs import evaluation_code, network_settings, write_spec

if TYPE_CHECKING:
    from pathlib import Path

    from infra.settings import Settings


def run(context: StageContext) -> StageOutput:
    """Classify the evaluation images with the checkpoint."""
    from models.data.images import read_images
    from tasks.reports.evaluation_plots import confident_mistakes, confusion_matrix, reliability

    data = context.link_input("data", context.folder / "data")
    results = context.folder / "results"
    results.mkdir()
    arguments = {
        "data_url": str(data),
        "checkpoint": str(context.input("checkpoint")),
        "spec": str(write_spec(context.settings, context.folder / "spec.json")),
        "output": str(results),
        "views": str(context.settings.evaluate.views),
    }
    context.world.models().run("evaluate", arguments, context.folder / "evaluate.log")
    metrics = Metrics.read(results / "metrics.json")
    _write_per_class(metrics, results / "per_class.csv")
    confusion_matrix(metrics, results / "confusion.png")
    reliability(metrics, results / "reliability.png")
    confident_mistakes(metrics, read_images(data, "eval").pixels, results / "mistakes.png")
    outputs = {
        "metrics": results / "metrics.json",
        "predictions": results / "predictions.npz",
        "per_class": results / "per_class.csv",
        "confusion": results / "confusion.png",
        "reliability": results / "reliability.png",
        "mistakes": results / "mistakes.png",
    }
    return StageOutput(outputs, f"accuracy {metrics.accuracy:.4f}")


def settings_of(settings: Settings) -> dict[str, object]:
    """Return what a key of this stage holds: the network, and the number of views where it is not one."""
    views = settings.evaluate.views
    return {**network_settings(settings), **({} if views == 1 else {"views": views})}


def _write_per_class(metrics: Metrics, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "precision", "recall", "f1", "support"])
        writer.writerows(astuple(row) for row in metrics.per_class)


STAGE = Stage(
    "evaluate",
    "pure",
    run,
    needs={"data": ("download", "data"), "checkpoint": ("train", "checkpoint")},
    settings=settings_of,
    code=evaluation_code,
    tools=("mindspore", "numpy", "matplotlib"),
)
