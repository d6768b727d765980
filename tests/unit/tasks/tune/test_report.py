import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.tune import publish
from tasks.tune.publish import write_files
from tasks.tune.report import TUTORIAL, best, columns, csv_text, front, rows, summary
from tasks.tune.space import space_of
from tasks.tune.study import Trial
from tasks.tune.trial import Cost, Outcome

SMALL, LARGE = Cost(61_984, 0.247936, 0.5), Cost(247_000, 0.988, 1.5)
SPACE = space_of(["quick"], [], {"train.width": "1,2", "train.learning_rate": "0.01,0.1", "train.momentum": "0.5..0.9"})


def trial(
    number: Any,
    width: Any,
    rate: Any,
    accuracy: Any = None,
    end: Any = "finished",
    momentum: str = "0.9",
    **outcome: Any,
) -> Any:
    levels = {"width": width, "recipe": "quick", "learning_rate": rate, "momentum": momentum}
    spec = {
        "network": "lenet5",
        "batch_size": 32,
        "epochs": 4,
        "learning_rate": float(rate),
        "schedule": "cosine",
        "optimizer": "momentum",
    }
    cost = SMALL if width == "1" else LARGE
    return Trial(number, levels, spec, cost, Outcome(end, accuracy=accuracy, **outcome))


TRIALS = [
    trial(0, "1", "0.01", 0.50),
    trial(1, "2", "0.01", 0.54, reused=True),
    trial(2, "1", "0.1", 0.60),
    trial(3, "2", "0.1", 0.62),
    trial(4, "1", "0.1", end="stopped", momentum="0.5", curve={1: 0.1, 2: 0.2}, reason="behind"),
    Trial(
        5, {"width": "9", "recipe": "quick", "learning_rate": "0.1", "momentum": "0.5"}, outcome=Outcome("failed", "no")
    ),
    Trial(6, {"width": "1", "recipe": "quick", "learning_rate": "0.1", "momentum": "0.7"}),
]


def test_the_table_has_the_tutorial_s_columns_and_the_best_first() -> None:
    table = rows(TRIALS, SPACE)
    assert columns(SPACE) == ("trial", "network", "width", "momentum", *TUTORIAL, "state")
    assert [row["trial"] for row in table] == ["3", "2", "1", "0", "4", "5", "6"]
    assert table[1] == {
        "trial": "2",
        "network": "lenet5",
        "width": "1",
        "momentum": "0.9",
        "batch size": "32",
        "epochs": "4",
        "learning rate": "0.1",
        "decay": "cosine",
        "optimizer": "momentum",
        "parameters (M)": "0.061984",
        "latency (ms)": "0.500",
        "accuracy (%)": "60.00",
        "score": "29.84",  # 30 - 0.35 · 0.247936 - 0.15 · 0.5
        "state": "finished",
    }
    states = {row["trial"]: row["state"] for row in table}
    assert states["1"] == "cached"
    assert states["4"] == "stopped early after epoch 2"
    assert (states["5"], states["6"]) == ("failed", "interrupted")


def test_the_csv_is_the_table() -> None:
    table = rows(TRIALS, SPACE)
    assert list(csv.DictReader(io.StringIO(csv_text(table, SPACE)))) == table


def test_winner_and_front() -> None:
    assert best(TRIALS) is TRIALS[3]
    assert best(TRIALS[4:]) is None
    assert front(TRIALS) == [TRIALS[2], TRIALS[3]]


def test_the_summary_says_what_was_measured_and_no_more() -> None:
    said = summary(TRIALS, SPACE, "grid-1")
    assert "7 trials: 4 finished, 1 stopped early, 1 failed, 1 interrupted." in said
    assert "Best: trial 3 (width 2, " in said
    assert "accuracy, size and latency: trial 2." in said
    structure, _, strategy = said.partition("## Effects of the training")
    assert "- `width` 1 → 2: +3.00 points of accuracy (± 1.41 over 2 pairs, from +2.00 to +4.00, up in 2)" in structure
    assert "+0.7401 MB (the same in all 2 pairs); +1.000 ms (the same in all 2 pairs)" in structure
    assert (
        "- `learning_rate` 0.01 → 0.1: +9.00 points of accuracy (± 1.41 over 2 pairs, from +8.00 to +10.00, up in 2)"
        in strategy
    )
    assert "MB" not in strategy.split("## How")[0], "a strategy moves no size"
    assert "`momentum`: no two finished trials differ in it only, as it is a range." in strategy
    assert "stopped early are not compared" in said
    assert "with one seed" in said


def test_one_pair_has_no_spread_and_a_small_mean_says_so() -> None:
    assert "one pair, so the spread is unknown" in summary(TRIALS[:2], SPACE, "x")
    close = [
        trial(0, "1", "0.01", 0.5),
        trial(1, "2", "0.01", 0.52),
        trial(2, "1", "0.1", 0.5),
        trial(3, "2", "0.1", 0.49),
    ]
    assert "up in 1, less than its spread" in summary(close, SPACE, "x")


def test_seeds_are_no_strategy_but_the_yardstick() -> None:
    space = space_of(["quick"], [], {"train.width": "1,2", "train.seed": "1,2"})
    seeded = [
        replace(trial(0, "1", "0.1", 0.5), levels={"recipe": "quick", "width": "1", "seed": seed}) for seed in "12"
    ]
    said = summary(seeded, space, "x")
    _, _, strategy = said.partition("## Effects of the training")
    strategy, _, chance = strategy.partition("## Effect of chance")
    assert "seed" not in strategy
    assert "None of these was varied." in strategy
    assert "`seed` 1 → 2: no difference." in chance
    assert "may be chance" in chance
    assert "with one seed" not in said


def test_nothing_finished_claims_nothing(tmp_path: Path) -> None:
    said = summary(TRIALS[4:], SPACE, "x")
    assert "Best" not in said
    assert "`width`: no two finished trials differ in it only." in said
    write_files(TRIALS[4:], SPACE, "x", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"trials.csv", "summary.md"}


@pytest.mark.parametrize("trials", [TRIALS, TRIALS[:1]], ids=["seven", "one"])
def test_the_pictures_can_be_drawn(tmp_path: Path, trials: Any) -> None:
    write_files(trials, SPACE, "x", tmp_path)
    for name in publish.PICTURES:
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            assert picture.width > 400
