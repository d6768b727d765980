"""The measurements that a challenge compares, read from the outputs of the stages `evaluate` and `robustness`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from infra.champions import Metrics
from infra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.engine.chain import Chain


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model.

    Attributes:
        metrics: accuracy, its interval, number of images, loss.
        recall: class to recall, 0 to 1.
    """

    metrics: Metrics
    recall: Mapping[str, float]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the output `metrics` of the stage `evaluate`."""
        return cls(Metrics.from_json(values), {row["class"]: row["recall"] for row in values["per_class"]})


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        champion_accuracy: 0 to 1.
        challenger_accuracy: 0 to 1.
        only_champion_right: images that the champion alone classifies correctly.
        only_challenger_right: images that the challenger alone classifies correctly.
        p_value: of McNemar's exact test, two-sided.
    """

    champion_accuracy: float
    challenger_accuracy: float
    only_champion_right: int
    only_challenger_right: int
    p_value: float


def evaluation_of(chain: Chain) -> Evaluation:
    """Read the evaluation of a chain, which is known."""
    return Evaluation.from_json(_output(chain, "evaluate", "metrics"))


def corruption_accuracies(robustness: Mapping[str, Any]) -> dict[str, float]:
    """Compute the mean accuracy over the severities of each corruption.

    Args:
        robustness: the output `robustness` of the stage of this name; its `accuracy` maps corruption to severity to
            accuracy. A corruption without severities is left out.
    """
    return {name: sum(row.values()) / len(row) for name, row in robustness["accuracy"].items() if row}


def robustness_of(chain: Chain) -> dict[str, float]:
    """Read the mean accuracy on each corruption, of a chain with a known robustness measurement."""
    return corruption_accuracies(_output(chain, "robustness", "robustness"))


def compare_chains(champion: Chain, challenger: Chain) -> Comparison:
    """Compare the evaluations of two chains, which are known and of the same images.

    Raises:
        Refused: the labels differ, so the images differ, too.
    """
    import numpy as np

    from models.evaluation.comparison import compare

    logits, labels = [], []
    for chain in (champion, challenger):
        path = chain.store.path(chain.known["evaluate"].outputs["predictions"])
        with np.load(path, allow_pickle=False) as file:
            logits.append(file["logits"])
            labels.append(file["labels"])
    if not np.array_equal(*labels):
        raise Refused(
            "champion and challenger were evaluated on images with different labels, so they cannot be compared",
            hint="evaluate both on the same data; `atlasflow why evaluate` names the data",
        )
    return comparison(compare(logits[0], logits[1], labels[0]))


def comparison(values: Mapping[str, float]) -> Comparison:
    """Read the result of `models.evaluation.comparison.compare` of champion and challenger, in this order."""
    return Comparison(
        values["accuracy_first"],
        values["accuracy_second"],
        int(values["only_first_right"]),
        int(values["only_second_right"]),
        values["p_value"],
    )


def _output(chain: Chain, stage: str, output: str) -> dict[str, Any]:
    path = chain.store.path(chain.known[stage].outputs[output])
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
