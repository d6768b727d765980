"""Worked values: McNemar's test by hand, the median of seeds, and each gate at, above and below its bound."""

from fractions import Fraction
from typing import Literal

import numpy as np
import pytest

from infra.champions import Event
from models.evaluation.comparison import compare
from tasks.retrain.evaluation import Comparison
from tasks.retrain.evaluation import comparison as read_comparison
from tasks.retrain.gates import (
    Trial,
    decided_gate,
    majority_gate,
    mcnemar_gate,
    median,
    provenance_gate,
    recall_gate,
    robustness_gate,
)


def comparison(champion_alone: int, challenger_alone: int, both: int = 50, neither: int = 10) -> Comparison:
    """Two classifiers of two classes, right alone on so many images each."""
    labels = np.zeros(champion_alone + challenger_alone + both + neither, np.int32)
    right = np.eye(2, dtype=np.float32)[0]
    wrong = np.eye(2, dtype=np.float32)[1]
    first = [right] * champion_alone + [wrong] * challenger_alone + [right] * both + [wrong] * neither
    second = [wrong] * champion_alone + [right] * challenger_alone + [right] * both + [wrong] * neither
    return read_comparison(compare(np.stack(first), np.stack(second), labels))


@pytest.mark.parametrize(
    ("champion_alone", "challenger_alone", "p_value"),
    [
        # 2 · Σ C(n, k) / 2^n up to the smaller count, by hand
        (0, 5, Fraction(2 * 1, 2**5)),  # 0.0625
        (0, 6, Fraction(2 * 1, 2**6)),  # 0.03125
        (1, 8, Fraction(2 * (1 + 9), 2**9)),  # 0.0390625
        (2, 8, Fraction(2 * (1 + 10 + 45), 2**10)),  # 0.109375
        (3, 12, Fraction(2 * (1 + 15 + 105 + 455), 2**15)),  # 0.03515625
    ],
)
def test_the_p_value_is_the_exact_one(champion_alone: int, challenger_alone: int, p_value: Fraction) -> None:
    found = comparison(champion_alone, challenger_alone)
    assert found.p_value == float(p_value)
    decision = mcnemar_gate(found, 0.05)
    assert decision.ok == (p_value <= Fraction(5, 100))
    assert decision.numbers["only_challenger_right"] == challenger_alone
    if not decision.ok:
        assert "may be chance" in decision.reason


def test_a_bound_that_is_met_exactly_counts() -> None:
    assert mcnemar_gate(comparison(0, 6), 0.03125).ok
    assert not mcnemar_gate(comparison(0, 6), 0.03124).ok


def test_without_a_discordant_image_nobody_wins() -> None:
    decision = mcnemar_gate(comparison(0, 0), 0.999)
    assert not decision.ok
    assert "they are equally good" in decision.reason
    assert decision.numbers["p_value"] == 1


@pytest.mark.parametrize(("champion_alone", "challenger_alone"), [(7, 7), (30, 2), (1, 0)])
def test_a_tie_or_a_significantly_worse_challenger_does_not_win(champion_alone: int, challenger_alone: int) -> None:
    decision = mcnemar_gate(comparison(champion_alone, challenger_alone), 0.05)
    assert not decision.ok
    assert "it is not better" in decision.reason


def test_large_counts_stay_exact_and_finite() -> None:
    found = comparison(800, 1600)
    assert 0 < found.p_value < 1e-20
    assert mcnemar_gate(found, 0.05).ok


@pytest.mark.parametrize(
    ("trials", "place"),
    [
        ([(0.5, 1)], 0),
        ([(0.9, 1), (0.1, 2), (0.5, 3)], 2),
        ([(0.9, 1), (0.1, 2)], 1),  # of two in the middle the lower one
        ([(0.5, 3), (0.5, 1), (0.5, 2)], 2),  # equal accuracies: by seed
        ([(0.4, 1), (0.3, 2), (0.2, 3), (0.1, 4)], 2),
    ],
)
def test_the_median_stands_for_all(trials: list[tuple[float, int]], place: int) -> None:
    assert median(trials) == place


def test_more_than_half_of_the_seeds_must_win() -> None:
    wins, draws = comparison(1, 20), comparison(5, 6)
    two_of_three = [Trial(1, 0.9, wins), Trial(2, 0.8, draws), Trial(3, 0.85, wins)]
    decision = majority_gate(two_of_three, 0.05)
    assert decision.ok
    assert decision.reason == "2 of 3 trainings are better than the champion (seeds 1 3)"
    assert not majority_gate([*two_of_three, Trial(4, 0.7, draws)], 0.05).ok, "half is not more than half"
    assert "(none)" in majority_gate([Trial(1, 0.5, draws)], 0.05).reason


@pytest.mark.parametrize(("after", "ok"), [(0.70, True), (0.65, True), (0.649, False), (0.9, True)])
def test_no_class_may_lose_more_recall_than_allowed(after: float, ok: bool) -> None:
    decision = recall_gate({"cat": 0.7, "dog": 0.5}, {"cat": after, "dog": 0.9}, 0.05)
    assert decision.ok == ok
    assert decision.numbers["cat"] == pytest.approx(0.7 - after)


def test_the_classes_that_fell_are_named_the_worst_first() -> None:
    decision = recall_gate({"cat": 0.7, "dog": 0.5, "ship": 0.9}, {"cat": 0.6, "dog": 0.1, "ship": 0.9}, 0.05)
    assert "dog 0.5000 → 0.1000, cat 0.7000 → 0.6000" in decision.reason
    assert "ship" not in decision.reason
    assert "for none" in recall_gate({"cat": 0.1}, {"cat": 0.2}, 0).reason


def test_a_class_that_the_challenger_alone_knows_has_nothing_to_lose() -> None:
    decision = recall_gate({"cat": 0.9}, {"cat": 0.9, "tram": 0.1}, 0)
    assert decision.ok
    assert decision.numbers == {"cat": 0}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"cat": 0.9, "bus": 0.9}, {"cat": 0.9, "tram": 0.1}, "no value for bus"),
        ({"cat": 0.9}, {}, "no value for cat"),
        ({}, {"cat": 0.9}, "no value for the champion"),
    ],
)
def test_what_was_not_measured_is_no_pass(before: dict[str, float], after: dict[str, float], said: str) -> None:
    decision = recall_gate(before, after, 0.5)
    assert not decision.ok
    assert said in decision.reason


@pytest.mark.parametrize("after", [{}, {"noise": 0.9}])
def test_a_corruption_that_was_not_measured_is_no_pass(after: dict[str, float]) -> None:
    decision = robustness_gate({"contrast": 0.6}, after, 0.5)
    assert not decision.ok
    assert "no value for contrast" in decision.reason


def test_no_corruption_may_cost_more_accuracy_than_allowed() -> None:
    champion, challenger = {"contrast": 0.4, "noise": 0.5}, {"contrast": 0.39, "noise": 0.46}
    assert robustness_gate(champion, challenger, 0.04).ok
    decision = robustness_gate(champion, challenger, 0.03)
    assert not decision.ok
    assert "noise 0.5000 → 0.4600" in decision.reason
    assert "retrain.max_robustness_drop" in decision.reason


def test_a_stand_in_s_release_does_not_take_a_real_one_s_place() -> None:
    assert not provenance_gate((), ("convert",)).ok
    for champion, challenger in (((), ()), (("convert",), ("convert",)), (("convert",), ())):
        assert provenance_gate(champion, challenger).ok


def event(kind: Literal["demoted", "kept", "promoted"], champion: str, checkpoint: str) -> Event:
    return Event(kind, champion, "", checkpoint, (), 0.0, "Ada", "trucks look like cars")


def test_a_checkpoint_that_was_rejected_comes_back_only_on_request() -> None:
    history = (event("promoted", "b", "cb"), event("demoted", "a", "cb"), event("kept", "a", "cc"))
    refused = decided_gate(history, "a", "cb", requested=False)
    assert not refused.ok
    assert refused.reason == "this checkpoint was demoted on 1970-01-01 by Ada: trucks look like cars"
    assert "rejected" in decided_gate(history, "a", "cc", requested=False).reason
    assert decided_gate(history, "a", "cb", requested=True).ok
    assert decided_gate(history, "z", "cb", requested=False).ok, "against another champion"
    assert decided_gate(history, "a", "new", requested=False).ok
