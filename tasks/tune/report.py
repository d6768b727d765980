"""The report of a search: the tutorial's table, CSV, and a summary that claims no more than was measured."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from tasks.tune.effects import Effect, Point, effects, pareto
from tasks.tune.space import STRUCTURE, Choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.tune.space import Space
    from tasks.tune.study import Trial

TUTORIAL = (
    "batch size",
    "epochs",
    "learning rate",
    "decay",
    "optimizer",
    "parameters (M)",
    "latency (ms)",
    "accuracy (%)",
    "score",
)
"""The columns of the tuning tutorial's table (docs/reference/tutorials.md T4), with the score."""
CHANCE = "seed"
_YARDSTICK = "The seed has no meaning: an effect above that is no larger than these differences may be chance."
_FIELDS = {
    "batch size": "batch_size",
    "epochs": "epochs",
    "learning rate": "learning_rate",
    "decay": "schedule",
    "optimizer": "optimizer",
}
_UNITS = {"accuracy": "points of accuracy", "size_mb": "MB", "latency_ms": "ms", "score": "points of score"}


def columns(space: Space) -> tuple[str, ...]:
    """Trial, network, the other varied factors, the tutorial's columns, and the state of the trial."""
    shown = {*_FIELDS.values(), "network"}
    return ("trial", "network", *(name for name in space.varied if name not in shown), *TUTORIAL, "state")


def rows(trials: Sequence[Trial], space: Space) -> list[dict[str, str]]:
    """Make a row for each trial: the best score first, then trials without a score in their order."""
    ordered = sorted(trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0), trial.number))
    found = [_cells(trial) for trial in ordered]
    return [{name: cells.get(name, "") for name in columns(space)} for cells in found]


def csv_text(table: Sequence[Mapping[str, str]], space: Space) -> str:
    """Write the table as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(space), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def best(trials: Sequence[Trial]) -> Trial | None:
    """Find the trial with the highest score; the earliest of equal ones."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: (trial.score or 0.0, -trial.number), default=None)


def points(trials: Sequence[Trial]) -> list[tuple[Trial, Point]]:
    """The finished trials with their figures."""
    found = []
    for trial in trials:
        if trial.score is not None and trial.cost is not None and trial.outcome is not None:
            accuracy = 100 * (trial.outcome.accuracy or 0.0)
            cost = trial.cost
            found.append((trial, Point(trial.levels, accuracy, cost.size_mb, cost.latency_ms, trial.score)))
    return found


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of the Pareto front of accuracy, size and latency."""
    finished = points(trials)
    return [finished[place][0] for place in pareto([point for _, point in finished])]


def all_effects(trials: Sequence[Trial], space: Space) -> list[Effect]:
    """Compute the effects between listed values; trials that differ in a range only exist by chance."""
    values = {factor.name: factor.values for factor in space.factors if isinstance(factor, Choice)}
    return effects([point for _, point in points(trials)], values)


def summary(trials: Sequence[Trial], space: Space, name: str) -> str:
    """Write the report of the search as Markdown."""
    winner = best(trials)
    lines = [f"# Tuning: {name}", "", _counts(trials), ""]
    if winner is not None:
        lines += _winner(winner, trials)
    lines += ["## Trials", "", *_markdown_table(rows(trials, space), columns(space)), ""]
    found = all_effects(trials, space)
    structure = [name for name in space.varied if name in STRUCTURE]
    strategy = [name for name in space.varied if name not in (*STRUCTURE, CHANCE)]
    for title, names in (("Effects of the network's structure", structure), ("Effects of the training", strategy)):
        lines += [f"## {title}", "", *_words(found, names, space), ""]
    if CHANCE in space.varied:
        lines += ["## Effect of chance", "", *_words(found, [CHANCE], space), "", _YARDSTICK, ""]
    return "\n".join([*lines, "## How to read this", "", *_caveats(trials)]) + "\n"


def _cells(trial: Trial) -> dict[str, str]:
    """The cells of every column that this trial has a value for."""
    cells = {**trial.levels, "trial": str(trial.number), "state": _state(trial)}
    cells |= {column: str(trial.spec[field]) for column, field in _FIELDS.items() if field in trial.spec}
    cells["network"] = str(trial.spec.get("network", ""))
    if trial.cost is not None:
        cells["parameters (M)"] = f"{trial.cost.parameters / 1e6:.6f}"
        cells["latency (ms)"] = f"{trial.cost.latency_ms:.3f}"
    if trial.outcome is not None and trial.outcome.accuracy is not None:
        cells["accuracy (%)"] = f"{100 * trial.outcome.accuracy:.2f}"
    if trial.score is not None:
        cells["score"] = f"{trial.score:.2f}"
    return cells


def _state(trial: Trial) -> str:
    if trial.outcome is None:
        return "interrupted"
    words = {"finished": "finished", "stopped": "stopped early", "failed": "failed"}
    if trial.outcome.end == "finished" and trial.outcome.reused:
        return "cached"
    last = max(trial.outcome.curve, default=0)
    return f"{words[trial.outcome.end]}{f' after epoch {last}' if trial.outcome.end == 'stopped' else ''}"


def _counts(trials: Sequence[Trial]) -> str:
    ends = [trial.outcome.end if trial.outcome is not None else "left" for trial in trials]
    parts = [
        f"{ends.count('finished')} finished",
        f"{ends.count('stopped')} stopped early",
        f"{ends.count('failed')} failed",
        f"{ends.count('left')} interrupted",
    ]
    return f"{len(trials)} trials: {', '.join(part for part in parts if not part.startswith('0 '))}."


def _winner(winner: Trial, trials: Sequence[Trial]) -> list[str]:
    assert winner.cost is not None  # noqa: S101 - a score needs both
    assert winner.outcome is not None  # noqa: S101
    levels = ", ".join(f"{name} {value}" for name, value in winner.levels.items())
    others = [str(trial.number) for trial in front(trials) if trial is not winner]
    beside = f"trial{'s' if len(others) > 1 else ''} {', '.join(others)}" if others else "none"
    accuracy = 100 * (winner.outcome.accuracy or 0.0)
    return [
        f"Best: trial {winner.number} ({levels}) with a score of {winner.score:.2f} = 0.50 · {accuracy:.2f} % "
        f"- 0.35 · {winner.cost.size_mb:.4f} MB - 0.15 · {winner.cost.latency_ms:.3f} ms.",
        "",
        f"Also on the Pareto front of accuracy, size and latency: {beside}.",
        "",
    ]


def _markdown_table(table: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[str]:
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return lines + [f"| {' | '.join(row[name] for name in names)} |" for row in table]


def _words(found: Sequence[Effect], names: Sequence[str], space: Space) -> list[str]:
    lines = []
    for name in names:
        own = [effect for effect in found if effect.factor == name]
        changes = dict.fromkeys((effect.before, effect.after) for effect in own)
        for before, after in changes:
            said = [_phrase(effect) for effect in own if (effect.before, effect.after) == (before, after)]
            said = [text for text in said if text]
            lines.append(f"- `{name}` {before} → {after}: {'; '.join(said) if said else 'no difference'}.")
        if not own:
            ranged = any(factor.name == name and not isinstance(factor, Choice) for factor in space.factors)
            why = ", as it is a range" if ranged else ""
            lines.append(f"- `{name}`: no two finished trials differ in it only{why}.")
    return lines or ["None of these was varied."]


def _phrase(effect: Effect) -> str:
    """Mean, spread and number of pairs; empty when no pair differs."""
    if not any(effect.differences):
        return ""
    digits = 4 if effect.measure == "size_mb" else 3 if effect.measure == "latency_ms" else 2
    return f"{effect.mean:+.{digits}f} {_UNITS[effect.measure]} ({_spread(effect, digits)})"


def _spread(effect: Effect, digits: int) -> str:
    count, low, high = len(effect.differences), min(effect.differences), max(effect.differences)
    if effect.deviation is None:
        return "one pair, so the spread is unknown"
    if math.isclose(low, high):  # such as the size, and the latency, which is measured once a network
        return f"the same in all {count} pairs"
    less = ", less than its spread" if abs(effect.mean) < effect.deviation else ""
    spread = f"± {effect.deviation:.{digits}f} over {count} pairs, from {low:+.{digits}f} to {high:+.{digits}f}"
    return f"{spread}, up in {effect.ups}{less}"


def _caveats(trials: Sequence[Trial]) -> list[str]:
    lines = [
        "- A line compares trials that differ in that one factor only: mean of the differences ± their standard "
        "deviation, the number of pairs, the smallest and the largest difference, and the number of pairs in which the "
        "figure rose. A wide range means that the effect depends on the other factors. Nothing is known about values "
        "outside these trials.",
        "- The best trial was chosen by its accuracy on the evaluation images, so that accuracy is slightly too high; "
        "other images would show by how much.",
        "- Latency was measured once for each network, on one machine, while no trial trained; other programs may have "
        "run.",
    ]
    if CHANCE not in {name for trial in trials for name in trial.levels}:
        lines.append(
            "- Each configuration was trained with one seed; `--space train.seed=1,2,3` shows the effect of chance."
        )
    if any(trial.outcome is not None and trial.outcome.end == "stopped" for trial in trials):
        lines.append(
            "- Trials that were stopped early are not compared. They were behind, so the effects of what slowed them "
            "down look smaller than they are."
        )
    return lines
