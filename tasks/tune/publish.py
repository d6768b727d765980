"""The results of a search: files in the study's folder, and artifacts in the Prefect UI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from infra.store.atomic import write_text
from tasks.reports.run_plots import embedded
from tasks.tune import plots
from tasks.tune.report import all_effects, csv_text, front, rows, summary

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tasks.tune.space import Space
    from tasks.tune.study import Trial

TABLE = "trials.csv"
SUMMARY = "summary.md"
PICTURES = {
    "scores.png": "The score of each trial",
    "pareto.png": "Accuracy, size and latency, and the Pareto front",
    "effects.png": "The effect of each change on the score, everything else being equal",
}


def publish(trials: Sequence[Trial], space: Space, name: str, folder: Path) -> None:
    """Write table, summary and, once a trial is finished, pictures; attach them to the current flow run."""
    write_files(trials, space, name, folder)
    create_table_artifact(rows(trials, space), key="tuning", description=f"The trials of {name}")
    create_markdown_artifact((folder / SUMMARY).read_text(encoding="utf-8"), key="tuning-summary", description=name)
    for picture, description in PICTURES.items():
        if (folder / picture).exists():
            key = f"tuning-{picture.removesuffix('.png')}"
            create_image_artifact(embedded(folder / picture), key=key, description=description)


def write_files(trials: Sequence[Trial], space: Space, name: str, folder: Path) -> None:
    """Write `trials.csv`, `summary.md` and, once a trial is finished, the pictures."""
    write_text(folder / TABLE, csv_text(rows(trials, space), space))
    write_text(folder / SUMMARY, summary(trials, space, name))
    if any(trial.score is not None for trial in trials):
        plots.scores(trials, folder / "scores.png")
        plots.pareto(trials, front(trials), folder / "pareto.png")
        plots.effects(all_effects(trials, space), folder / "effects.png")
