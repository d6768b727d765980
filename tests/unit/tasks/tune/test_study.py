from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Corrupt, UserError
from tasks.tune.space import space_of
from tasks.tune.study import Study, Trial, check_names, opened, study_name
from tasks.tune.trial import Cost, Outcome

pytest.importorskip("optuna", reason="the extra `tuning` is not installed")

COST = Cost(1000, 0.004, 1.0)
GRID = space_of(["quick"], [], {"train.seed": "1,2,3", "train.schedule": "cosine,square"})
OPEN = space_of(["quick"], [], {"train.learning_rate": "log:0.001..0.1", "train.epochs": "1..9"})
SMALL = space_of(["quick"], [], {"train.seed": "1,2,3"})


def definition(search: str = "grid", seed: int = 1, **more: Any) -> Any:
    return {"search": search, "seed": seed, **more}


def finished(trial: Any, accuracy: float = 0.5, **more: Any) -> Any:
    return replace(
        trial,
        spec={"epochs": 3},
        cost=COST,
        outcome=Outcome("finished", accuracy=accuracy, curve={1: accuracy}, **more),
    )


def ask(study: Study) -> Trial:
    trial = study.ask()
    assert trial is not None
    return trial


def searched(folder: Any, space: Any, said: Any, count: Any, *, forget_after: Any = ()) -> Any:
    """Levels of `count` trials, one after the other; the study is closed after each number in `forget_after`."""
    found: list[Mapping[str, str]] = []
    while len(found) < count:
        with opened(folder, said, space) as study:
            for asked in iter(study.ask, None):
                found.append(asked.levels)
                study.note(finished(asked, accuracy=len(found) / 100))
                if len(found) == count or len(found) in forget_after:
                    break
            else:
                break
    return found


def test_a_grid_is_tried_whole_and_once(tmp_path: Path) -> None:
    found = searched(tmp_path, GRID, definition(), 100)
    assert len({tuple(sorted(levels.items())) for levels in found}) == len(found) == 6
    assert {levels["recipe"] for levels in found} == {"quick"}


@pytest.mark.parametrize(("search", "space"), [("grid", GRID), ("random", OPEN), ("tpe", OPEN), ("tpe", GRID)])
def test_the_seed_decides_and_an_interruption_does_not(tmp_path: Path, search: str, space: Any) -> None:
    said = definition(search)
    whole = searched(tmp_path / "whole", space, said, 5)
    assert searched(tmp_path / "parts", space, said, 5, forget_after=(1, 3)) == whole
    assert searched(tmp_path / "other", space, definition(search, seed=2), 5) != whole


@pytest.mark.parametrize("damage", ["text", "cut", "inside"])
def test_a_damaged_study_is_told_in_words_and_left_alone(tmp_path: Path, damage: str) -> None:
    searched(tmp_path, GRID, definition(), 2)
    path = tmp_path / "study.db"
    whole = path.read_bytes()
    damaged = {
        "text": b"no database " * 100,
        "cut": whole[: len(whole) // 2],
        "inside": whole[:4096] + bytes(range(256)) * 256 + whole[4096 + 65_536 :],
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(Corrupt, match=r"(?s)study\.db is damaged.*finished trainings are reused"):
        searched(tmp_path, GRID, definition(), 6)
    assert path.read_bytes()[100:] == damaged[100:]


def test_ranges_are_kept_to(tmp_path: Path) -> None:
    for levels in searched(tmp_path, OPEN, definition("random"), 12):
        assert 0.001 <= float(levels["learning_rate"]) <= 0.1
        assert 1 <= int(levels["epochs"]) <= 9


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_nothing_is_tried_twice_and_a_small_space_comes_to_an_end(tmp_path: Path, search: str) -> None:
    found = searched(tmp_path, SMALL, definition(search), 100)
    assert sorted(levels["seed"] for levels in found) == ["1", "2", "3"]


def test_tpe_learns_from_what_it_is_told(tmp_path: Path) -> None:
    space = space_of(["quick"], [], {"train.momentum": "0..0.9"})
    found = {}
    for sign in (1, -1):
        with opened(tmp_path / str(sign), definition("tpe"), space) as study:
            for _ in range(10):
                asked = ask(study)
                study.note(finished(asked, accuracy=0.5 + sign * float(asked.levels["momentum"]) / 2))
            found[sign] = [float(trial.levels["momentum"]) for trial in study.trials()]
    assert found[1][:5] == found[-1][:5], "the first are drawn at random"
    assert sum(found[1][5:]) > sum(found[-1][5:])


def test_what_was_noted_is_there_again(tmp_path: Path) -> None:
    with opened(tmp_path, definition(), GRID) as study:
        done, stopped, wrong, under_way = (ask(study) for _ in range(4))
        study.note(finished(done, keys={"train": "k"}, reused=True, seconds=2.5))
        end = Outcome("stopped", "hopeless", curve={1: 0.1, 2: 0.2})
        study.note(replace(stopped, spec={"epochs": 3}, cost=COST, outcome=end))
        study.note(replace(wrong, outcome=Outcome("failed", "it cannot work")))
        study.note(replace(under_way, spec={"epochs": 3}, cost=COST, outcome=Outcome("left", "killed")))
        before = study.trials()
    with opened(tmp_path, definition(), GRID) as study:
        assert study.trials() == before
        assert [trial.number for trial in study.under_way()] == [3]
    assert before[0] == finished(done, keys={"train": "k"}, reused=True, seconds=2.5)
    assert before[0].score == pytest.approx(50 * 0.5 - 0.35 * 0.004 - 0.15)
    assert before[1].outcome == end
    assert [trial.score for trial in before[1:]] == [None, None, None]


def test_a_trial_that_was_interrupted_can_be_finished_later(tmp_path: Path) -> None:
    with opened(tmp_path, definition(), GRID) as study:
        study.note(replace(ask(study), spec={"epochs": 3}, cost=COST))
    with opened(tmp_path, definition(), GRID) as study:
        (left,) = study.under_way()
        study.note(finished(left))
        assert study.under_way() == []
        assert len(list(iter(study.ask, None))) == 5


def test_a_study_of_that_name_with_other_code_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path, definition(code="a"), GRID):
        pass
    with pytest.raises(UserError, match="another code"), opened(tmp_path, definition(code="b"), GRID):
        pass


def test_the_name_says_what_rests_on_what() -> None:
    assert study_name(definition(code="a")) == study_name(definition(code="a"))
    assert study_name(definition(code="a")) != study_name(definition(code="b"))
    assert study_name(definition("tpe")).startswith("tpe-")


@pytest.mark.parametrize(("study", "cluster"), [("", ""), ("a-1_B", "tcp://10.0.0.1:8786"), ("x" * 64, "tls://h:1")])
def test_names_that_can_be_pass(study: str, cluster: str) -> None:
    check_names(study, cluster)


@pytest.mark.parametrize(
    ("study", "cluster", "words"),
    [
        ("../x", "", "cannot name a search"),
        ("x" * 65, "", "cannot name a search"),
        ("", "10.0.0.1:8786", "Dask scheduler's address"),
        ("", "tcp://host", "Dask scheduler's address"),
    ],
)
def test_names_that_cannot_be_are_refused(study: str, cluster: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_names(study, cluster)
