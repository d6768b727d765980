"""The report of a retraining, as Markdown: the reasons, both models, each gate, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.retrain.challenge import SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.retrain.challenge import Challenge
    from tasks.retrain.drift import BoardDrift


def markdown(challenge: Challenge) -> str:
    """Write the report."""
    champion = challenge.champion
    before = f"release `{champion.release}`, promoted by {_cell(champion.who)}" if champion else "none"
    lines = [f"# {challenge.outcome}", "", challenge.explanation, "", f"Champion before: {before}.", ""]
    if challenge.reasons:
        lines += ["## Reasons", "", *(f"- **{item.kind}**: {item.text}" for item in challenge.reasons), ""]
    lines += _boards(challenge.boards)
    lines += _models(challenge)
    lines += _trials(challenge)
    if challenge.gates:
        lines += ["## Gates", "", _row(["gate", "passed", "reason"]), "|---|---|---|"]
        for result in challenge.gates:
            passed = "yes" if result.decision.ok else "**no**"
            lines.append(_row([result.gate, passed, _cell(result.decision.reason)]))
        lines.append("")
    return "\n".join(lines)


def _models(challenge: Challenge) -> list[str]:
    sides = [side for side in SIDES if side in challenge.evaluations]
    if not sides:
        return []
    evaluations = [challenge.evaluations[side] for side in sides]
    metrics = [evaluation.metrics for evaluation in evaluations]
    robustness = [challenge.robustness[side] for side in sides if side in challenge.robustness]
    rows = [
        ["accuracy", *(f"{item.accuracy:.4f}" for item in metrics)],
        ["95 % Wilson interval", *("{:.4f} – {:.4f}".format(*item.accuracy_interval_95) for item in metrics)],
        ["mean loss", *(f"{item.loss:.4f}" for item in metrics)],
        ["evaluation images", *(f"{item.images:,}" for item in metrics)],
        *_by_name("recall of", [evaluation.recall for evaluation in evaluations]),
        *_by_name("accuracy under", robustness),
    ]
    titles = ["", *sides]
    return ["## Models", "", _row(titles), _row(["---", *("---:" for _ in sides)]), *map(_row, rows), ""]


def _boards(boards: Sequence[BoardDrift]) -> list[str]:
    """The drift of boards, with the population stability index of each quantity."""
    if not boards:
        return []
    names = list(dict.fromkeys(name for item in boards for name in item.indices))
    lines = ["## Boards", "", _row(["board", "drift", "images", *names, "details"])]
    lines.append(_row(["---", "---", *("---:" for _ in ("images", *names)), "---"]))
    for item in boards:
        indices = (f"{item.indices[name]:.3f}" if name in item.indices else "" for name in names)
        lines.append(_row([item.board, item.found, f"{item.images:,}", *indices, _cell(item.message)]))
    return [*lines, ""]


def _by_name(what: str, sides: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """A row for each name, with the value of each side."""
    names = dict.fromkeys(name for side in sides for name in side)
    return [[f"{what} {name}", *(f"{side[name]:.4f}" if name in side else "" for side in sides)] for name in names]


def _trials(challenge: Challenge) -> list[str]:
    if not challenge.trials:
        return []
    lines = [
        "## McNemar's test",
        "",
        "| seed | accuracy | only challenger right | only champion right | p |",
        "|---:|---:|---:|---:|---:|",
    ]
    for trial in challenge.trials:
        found = trial.comparison
        alone = (str(found.only_challenger_right), str(found.only_champion_right))
        lines.append(_row([str(trial.seed), f"{trial.accuracy:.4f}", *alone, f"{found.p_value:.3g}"]))
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
