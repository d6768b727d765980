"""The report of a retraining."""

from infra.champions import Metrics
from tasks.engine.gates import Decision
from tasks.retrain.challenge import Challenge, Gate, GateResult, Outcome
from tasks.retrain.drift import BoardDrift, Drift
from tasks.retrain.evaluation import Comparison, Evaluation
from tasks.retrain.gates import Trial, mcnemar_gate
from tasks.retrain.reasons import Reason, ReasonKind
from tasks.retrain.report import markdown
from tests.unit.infra.champions import champion


def evaluation(accuracy: float, **recall: float) -> Evaluation:
    return Evaluation(Metrics(accuracy, (accuracy - 0.1, accuracy + 0.1), 2000, 1.25), recall)


def test_it_shows_reasons_both_models_the_p_value_and_the_decision() -> None:
    comparison = Comparison(0.5, 0.6, only_champion_right=1, only_challenger_right=8, p_value=0.0390625)
    challenge = Challenge(
        champion("a"),
        boards=[BoardDrift("porch", Drift.DRIFTED, "red (0.310) of 500 images", {"red": 0.31}, "a", 500)],
        reasons=[Reason(ReasonKind.DATA, "the data are new (inputs data: a → b)")],
        trials=[Trial(7, 0.6, comparison)],
        evaluations={"champion": evaluation(0.5, cat=0.25), "challenger": evaluation(0.6, cat=0.5, dog=1)},
        robustness={"champion": {"contrast": 0.3}, "challenger": {"contrast": 0.4}},
        gates=[
            GateResult(Gate.MCNEMAR, mcnemar_gate(comparison, 0.05)),
            GateResult(Gate.RECALL, Decision(False, "cat | fell", {})),
        ],
        outcome=Outcome.NOT_PROMOTED,
        explanation="release a stays champion",
    )
    text = markdown(challenge)
    for line in (
        "# Not promoted",
        "release a stays champion",
        "Champion before: release `a`, promoted by Ada.",
        "- **data**: the data are new (inputs data: a → b)",
        "| porch | drifted | 500 | 0.310 | red (0.310) of 500 images |",
        "|  | champion | challenger |",
        "| accuracy | 0.5000 | 0.6000 |",
        "| 95 % Wilson interval | 0.4000 – 0.6000 | 0.5000 – 0.7000 |",
        "| evaluation images | 2,000 | 2,000 |",
        "| recall of cat | 0.2500 | 0.5000 |",
        "| recall of dog |  | 1.0000 |",
        "| accuracy under contrast | 0.3000 | 0.4000 |",
        "| 7 | 0.6000 | 8 | 1 | 0.0391 |",
        "| recall of each class | **no** | cat \\| fell |",
    ):
        assert line in text.splitlines()
    assert "| McNemar's test | yes | it is better: only the challenger is right on 8" in text
    assert challenge.refused
    assert challenge.refused.gate is Gate.RECALL
    assert challenge.why().startswith("the data are new (inputs data: a → b); it is better")


def test_without_a_champion_and_before_anything_ran_it_says_so() -> None:
    text = markdown(Challenge(None))
    assert text.startswith("# Interrupted")
    assert "Champion before: none." in text
    assert "##" not in text
    assert Challenge(None).refused is None
