"""The losses are those of trainings that really ran, rounded; the rising ones that of a rate ten times too high."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.learning_signs import Trouble, find_signs
from infra.ports.training import Epoch

SPEC = {"classes": 10, "warmup_epochs": 0, "freeze_epochs": 0, "schedule": "cosine", "learning_rate": 0.1}
COMPACT = Path(__file__).parents[3] / "data" / "compact" / "history.csv"


def epochs(losses: Sequence[float], accuracies: Sequence[float | None] = (), total: int = 0) -> list[Epoch]:
    scores = [*accuracies, *[None] * (len(losses) - len(accuracies))]
    return [
        Epoch(number, total or len(losses), loss, 1.0, 1.0, score)
        for number, (loss, score) in enumerate(zip(losses, scores, strict=True), 1)
    ]


def troubles(found: Sequence[Epoch], **changed: object) -> list[Trouble]:
    return [sign.trouble for sign in find_signs(found, SPEC | changed)]


def test_a_training_that_learns_shows_nothing() -> None:
    with COMPACT.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["accuracy"]) if row["accuracy"] else None for row in rows]
    assert not troubles(epochs([float(row["loss"]) for row in rows], scores))


def test_a_rising_loss_is_told_before_the_end() -> None:
    (sign,) = find_signs(epochs([2.1, 1.9, 1.8, 2.2, 2.6], total=30), SPEC)
    assert (sign.trouble, sign.epoch) == (Trouble.DIVERGES, 5)
    assert "2.600 after 1.800" in sign.text
    assert "0.1" in sign.advice


@pytest.mark.parametrize(("warmup", "expected"), [(0, [Trouble.DIVERGES]), (5, [])])
def test_a_high_loss_counts_after_the_warm_up(warmup: int, expected: list[Trouble]) -> None:
    assert troubles(epochs([2.2, 6.0], total=30), warmup_epochs=warmup) == expected


def test_one_step_back_is_no_divergence() -> None:
    assert not troubles(epochs([2.1, 1.6, 1.5, 1.9, 1.4], total=30))


def test_guessing_is_told_with_its_loss() -> None:
    (sign,) = find_signs(epochs([2.303, 2.303, 2.302], total=30), SPEC)
    assert sign.trouble == Trouble.GUESSES
    assert "guessing gives 2.303" in sign.text


def test_a_plateau_counts_where_the_rate_stays() -> None:
    losses = [1.5, 1.3, 1.2, *[1.199] * 12]
    scores = [0.4, 0.5, 0.55, *[0.551] * 12]
    assert troubles(epochs(losses, scores, total=30), schedule="constant") == [Trouble.PLATEAU]
    assert not troubles(epochs(losses, scores, total=30))


def test_falling_accuracy_while_the_loss_falls_is_overfitting() -> None:
    losses = [1.5, 1.2, 1.0, 0.8, 0.6, 0.4, 0.3, 0.2]
    scores = [0.5, 0.6, 0.62, 0.60, 0.59, 0.58, 0.57, 0.56]
    (sign,) = find_signs(epochs(losses, scores), SPEC)
    assert (sign.trouble, sign.epoch) == (Trouble.OVERFITS, 8)
    assert "62.0 to 60.0 %" in sign.text
