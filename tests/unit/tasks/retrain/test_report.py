"""The report of a retraining."""

from tasks.engine.gates import Decision
from tasks.retrain.drift import BoardDrift
from tasks.retrain.gates import Trial, better
from tasks.retrain.reasons import Reason
from tasks.retrain.report import Challenge, markdown
from tests.unit.infra.champions import champion


def metrics(accuracy, **recalls):
    rows = [{"class": name, "recall": recall} for name, recall in recalls.items()]
    return {
        "accuracy": accuracy,
        "accuracy_interval_95": [accuracy - 0.1, accuracy + 0.1],
        "loss": 1.25,
        "images": 2000,
        "per_class": rows,
    }


def test_it_tells_reasons_both_models_the_p_value_and_the_decision():
    comparison = {"only_first_right": 1, "only_second_right": 8, "p_value": 0.0390625}
    comparison |= {"accuracy_first": 0.5, "accuracy_second": 0.6}
    challenge = Challenge(
        champion("a"),
        boards=[BoardDrift("porch", "drifted", "red (0.310) of 500 images", {"red": 0.31}, "a", 500)],
        reasons=[Reason("data", "the data are new (inputs data: a → b)")],
        trials=[Trial(7, 0.6, comparison)],
        metrics={"champion": metrics(0.5, cat=0.25), "challenger": metrics(0.6, cat=0.5, dog=1)},
        robustness={
            "champion": {"accuracy": {"contrast": {"1": 0.4, "3": 0.2}}},
            "challenger": {"accuracy": {"contrast": {"1": 0.5, "3": 0.3}}},
        },
        gates=[("McNemar's test", better(comparison, 0.05)), ("recall", Decision(False, "cat | fell", {}))],
        outcome="Not promoted",
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
        "| recall | **no** | cat \\| fell |",
    ):
        assert line in text.splitlines()
    assert "| McNemar's test | yes | it is better: 8 images" in text
    assert challenge.refused[0] == "recall"


def test_without_a_champion_and_before_anything_ran_it_says_so():
    text = markdown(Challenge(None))
    assert text.startswith("# Interrupted")
    assert "Champion before: none." in text
    assert "##" not in text
    assert Challenge(None).refused is None
