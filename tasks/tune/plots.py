"""Pictures of a search, as PNG files: scores, the Pareto front, effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.store.atomic import replacing
from tasks.figure import SMALL, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tasks.tune.effects import Effect
    from tasks.tune.study import Trial


def scores(trials: Sequence[Trial], path: Path) -> None:
    """Draw the score of each finished trial, and the best one so far; stopped ones are marked below."""

    def draw(axes: Any) -> None:
        done = [(trial.number, trial.score) for trial in trials if trial.score is not None]
        axes.plot(*zip(*done, strict=True), "o", label="finished")
        best = [max(score for _, score in done[: place + 1]) for place in range(len(done))]
        axes.step([number for number, _ in done], best, where="post", color="grey", label="best so far")
        stopped = [
            (trial.number, trial.cost.score(list(trial.outcome.curve.values())[-1]))
            for trial in trials
            if trial.cost is not None and trial.outcome is not None and trial.outcome.end == "stopped"
        ]
        if stopped:
            axes.plot(*zip(*stopped, strict=True), "x", color="tab:red", label="stopped early, its last score")
        axes.set_xlabel("trial")
        axes.set_ylabel("score")
        axes.legend(loc="upper right")

    _picture(path, draw)


def pareto(trials: Sequence[Trial], front: Sequence[Trial], path: Path) -> None:
    """Draw accuracy over size, latency as colour, and a ring around each trial of the front."""

    def draw(axes: Any) -> None:
        done = [(trial, trial.cost, trial.outcome) for trial in trials if trial.score is not None]
        figures = [
            (cost.size_mb, 100 * (outcome.accuracy or 0.0), cost.latency_ms)
            for _, cost, outcome in done
            if cost is not None and outcome is not None
        ]
        sizes, accuracies, latencies = zip(*figures, strict=True)
        dots = axes.scatter(sizes, accuracies, c=latencies, cmap="viridis", zorder=3)
        axes.figure.colorbar(dots, ax=axes, label="latency (ms)")
        ringed = [figure for (trial, _, _), figure in zip(done, figures, strict=True) if trial in front]
        axes.scatter(
            [figure[0] for figure in ringed],
            [figure[1] for figure in ringed],
            s=140,
            facecolors="none",
            edgecolors="tab:red",
            label="Pareto front",
        )
        for (trial, _, _), (size, accuracy, _) in zip(done, figures, strict=True):
            axes.annotate(str(trial.number), (size, accuracy), (6, 3), textcoords="offset points", fontsize=SMALL)
        if max(sizes) > 10 * min(sizes):
            axes.set_xscale("log")
        axes.set_xlabel("size (MB)")
        axes.set_ylabel("accuracy (%)")
        axes.legend(loc="upper right")

    _picture(path, draw)


def effects(found: Sequence[Effect], path: Path) -> None:
    """Draw the effect of each change on the score: every pair as a dot, mean and standard deviation as a bar."""
    own = [effect for effect in found if effect.measure == "score"]

    def draw(axes: Any) -> None:
        for place, effect in enumerate(own):
            axes.errorbar(effect.mean, place, xerr=effect.deviation, fmt="s", color="tab:blue", capsize=4)
            axes.plot(effect.differences, [place] * len(effect.differences), ".", color="grey", alpha=0.6)
        axes.axvline(0, color="black", linewidth=0.8)
        names = [f"{effect.factor}: {effect.before} → {effect.after}" for effect in own]
        axes.set_yticks(range(len(own)), names, fontsize=SMALL)
        axes.invert_yaxis()
        axes.set_xlabel("change of the score; dots: pairs of trials, bar: standard deviation")
        if not own:
            axes.text(0.5, 0.5, "no two finished trials differ in one factor alone", ha="center", va="center")
            axes.set_axis_off()

    _picture(path, draw, height=max(2.4, 1.2 + 0.35 * len(own)))


def _picture(path: Path, draw: Callable[[Any], None], height: float = 4.2) -> None:
    with replacing(path) as temporary, drawn(temporary, 7.5, height) as figure:
        axes = figure.subplots()
        axes.grid(alpha=0.3)
        draw(axes)
