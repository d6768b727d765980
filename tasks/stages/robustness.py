"""Robustness: checkpoint and corrupted images → accuracy by corruption and severity, as table and picture."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from tasks.engine.stage import Stage, StageContext, StageOutput
from tasks.metrics import Robustness
from tasks.specs import network_settings, robustness_code, write_spec

if TYPE_CHECKING:
    from pathlib import Path


def run(context: StageContext) -> StageOutput:
    """Classify the corrupted images with the checkpoint."""
    from tasks.reports.robustness_plot import accuracies

    results = context.folder / "results"
    results.mkdir()
    arguments = {
        "data_url": str(context.link_input("data", context.folder / "data")),
        "corrupted_url": str(context.link_input("images", context.folder / "corrupted")),
        "checkpoint": str(context.input("checkpoint")),
        "spec": str(write_spec(context.settings, context.folder / "spec.json")),
        "output": str(results),
    }
    context.world.models().run("evaluate", arguments, context.folder / "robustness.log")
    found = Robustness.read(results / "robustness.json")
    _write_table(found, results / "robustness.csv")
    accuracies(found, results / "robustness.png")
    outputs = {
        "robustness": results / "robustness.json",
        "predictions": results / "predictions.npz",
        "table": results / "robustness.csv",
        "plot": results / "robustness.png",
    }
    return StageOutput(outputs, f"mean corruption error {found.mean_error:.4f}")


def _write_table(found: Robustness, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["corruption", "severity", "accuracy"])
        writer.writerow(["clean", 0, found.clean_accuracy])
        for name, row in found.accuracy.items():
            writer.writerows([name, severity, accuracy] for severity, accuracy in row.items())


STAGE = Stage(
    "robustness",
    "pure",
    run,
    needs={
        "data": ("download", "data"),
        "images": ("corrupt", "images"),
        "checkpoint": ("train", "checkpoint"),
    },
    settings=network_settings,
    code=robustness_code,
    tools=("mindspore", "numpy", "matplotlib"),
)
