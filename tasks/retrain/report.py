"""The report of a retraining, as Markdown: the reasons, both models, each gate, and the decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.champions import Champion
    from tasks.engine.gates import Decision
    from tasks.retrain.drift import BoardDrift
    from tasks.retrain.gates import Trial
    from tasks.retrain.reasons import Reason


@dataclass
class Challenge:
    """What is known of a challenge so far.

    Attributes:
        champion: what stands; None before the first promotion.
        boards: what the boards that run it have seen.
        reasons: why it is challenged.
        trainings: keys of the challengers' trainings.
        checkpoint: SHA-256 of the challenger's checkpoint, once it is trained.
        trials: the challengers beside the champion; empty when there is none to compare with.
        metrics: of both evaluations, by `champion` and `challenger`.
        robustness: likewise, of the corrupted images.
        gates: name and decision of each gate that was asked.
        outcome: in a few words.
        explanation: in a sentence.
    """

    champion: Champion | None
    boards: Sequence[BoardDrift] = ()
    reasons: Sequence[Reason] = ()
    trainings: Sequence[str] = ()
    checkpoint: str = ""
    trials: list[Trial] = field(default_factory=list)
    metrics: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    robustness: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    gates: list[tuple[str, Decision]] = field(default_factory=list)
    outcome: str = "Interrupted"
    explanation: str = "an error ended it; the run says which"

    @property
    def refused(self) -> tuple[str, Decision] | None:
        """The gate that said no."""
        return next(((name, decision) for name, decision in self.gates if not decision.ok), None)


def markdown(challenge: Challenge) -> str:
    """The report."""
    champion = challenge.champion
    stands = f"release `{champion.release}`, promoted by {_cell(champion.who)}" if champion else "none"
    lines = [f"# {challenge.outcome}", "", challenge.explanation, "", f"Champion before: {stands}.", ""]
    if challenge.reasons:
        lines += ["## Reasons", "", *(f"- **{item.kind}**: {item.text}" for item in challenge.reasons), ""]
    lines += _seen(challenge.boards)
    lines += _models(challenge)
    lines += _trials(challenge)
    if challenge.gates:
        lines += ["## Gates", "", "| gate | says | because |", "|---|---|---|"]
        lines += [
            f"| {name} | {'yes' if said.ok else '**no**'} | {_cell(said.reason)} |" for name, said in challenge.gates
        ]
        lines.append("")
    return "\n".join(lines)


def _models(challenge: Challenge) -> list[str]:
    sides = [side for side in ("champion", "challenger") if side in challenge.metrics]
    if not sides:
        return []
    metrics = [challenge.metrics[side] for side in sides]
    rows = [
        ["accuracy", *(f"{said['accuracy']:.4f}" for said in metrics)],
        ["95 % Wilson interval", *("{:.4f} – {:.4f}".format(*said["accuracy_interval_95"]) for said in metrics)],
        ["mean loss", *(f"{said['loss']:.4f}" for said in metrics)],
        ["evaluation images", *(f"{said['images']:,}" for said in metrics)],
        *_recalls(metrics),
        *_corruptions([challenge.robustness[side] for side in sides if side in challenge.robustness]),
    ]
    titles = ["", *sides]
    return ["## Models", "", _row(titles), _row(["---", *("---:" for _ in sides)]), *map(_row, rows), ""]


def _seen(boards: Sequence[BoardDrift]) -> list[str]:
    """What boards see, with the population stability index of each quantity."""
    if not boards:
        return []
    names = list(dict.fromkeys(name for item in boards for name in item.indices))
    lines = ["## Boards", "", _row(["board", "found", "images", *names, "because"])]
    lines.append(_row(["---", "---", *("---:" for _ in ("images", *names)), "---"]))
    for item in boards:
        indices = (f"{item.indices[name]:.3f}" if name in item.indices else "" for name in names)
        lines.append(_row([item.board, item.found, f"{item.images:,}", *indices, _cell(item.message)]))
    return [*lines, ""]


def _recalls(metrics: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    recalls = [{row["class"]: row["recall"] for row in said["per_class"]} for said in metrics]
    names = dict.fromkeys(name for side in recalls for name in side)
    return [[f"recall of {name}", *(f"{side[name]:.4f}" if name in side else "" for side in recalls)] for name in names]


def _corruptions(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    means = [{name: sum(row.values()) / len(row) for name, row in side["accuracy"].items()} for side in found]
    names = dict.fromkeys(name for side in means for name in side)
    return [
        [f"accuracy under {name}", *(f"{side[name]:.4f}" if name in side else "" for side in means)] for name in names
    ]


def _trials(challenge: Challenge) -> list[str]:
    if not challenge.trials:
        return []
    lines = [
        "## McNemar's test",
        "",
        "| seed | accuracy | right alone | champion right alone | p |",
        "|---:|---:|---:|---:|---:|",
    ]
    for trial in challenge.trials:
        said = trial.comparison
        alone = (f"{said['only_second_right']:.0f}", f"{said['only_first_right']:.0f}")
        lines.append(_row([str(trial.seed), f"{trial.accuracy:.4f}", *alone, f"{said['p_value']:.3g}"]))
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
