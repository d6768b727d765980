"""When a champion is challenged, and when not again."""

from collections.abc import Sequence
from typing import Any

import pytest

from infra.champions import Event, RegistryState
from tasks.retrain.reasons import DAY, Reasons, Training, find_reasons
from tests.unit.infra.champions import champion

NOW = 100 * DAY


def ingredients(**changed: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "stage": "train",
        "inputs": {"data": "d" * 64},
        "emulated": False,
        "settings": {"epochs": 30, "seed": 1},
        "code": {"models/spec/recipes.py": "a" * 64},
        "producer": {"name": "mindspore-cpu"},
        "tools": {"mindspore": "2.10.0"},
    } | changed


def state(*events: Event, since: float = NOW) -> RegistryState:
    stands = champion("a", when=since)
    return RegistryState(1, stands, False, {"a": stands}, events)


def kept(when: float, *trainings: str) -> Event:
    return Event("kept", "a", "", "", trainings, when, "Ada", "it may be chance")


def look(
    known: RegistryState | None = None,
    now: dict[str, Any] | None = None,
    keys: Sequence[str] = ("k",),
    seeded: bool = False,
    **options: Any,
) -> Reasons:
    training = Training(now or ingredients(), keys, seeded)
    values = {"max_age_days": 30, **options}
    return find_reasons(known or state(), ingredients(), training, now=NOW, **values)


def test_without_a_champion_there_is_a_reason() -> None:
    found = find_reasons(RegistryState(), None, Training(ingredients(), ("k",), False), now=NOW, max_age_days=30)
    assert [item.kind for item in found.found] == ["first"]


def test_without_a_change_there_is_no_reason() -> None:
    found = look()
    assert found.found == ()
    assert "those of the champion" in found.none_because


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"inputs": {"data": "e" * 64}}, "data", "inputs data: dddddddddddd → eeeeeeeeeeee"),
        ({"code": {"models/spec/recipes.py": "b" * 64}}, "code", "code models/spec/recipes.py changed"),
        ({"settings": {"epochs": 3, "seed": 1}}, "recipe", "settings epochs: 30 → 3"),
        ({"settings": {"epochs": 30, "seed": 2}}, "recipe", "settings seed: 1 → 2"),
        ({"tools": {"mindspore": "2.11.0"}}, "tools", "tools mindspore: 2.10.0 → 2.11.0"),
        ({"producer": {"name": "modelarts"}}, "tools", "producer name: mindspore-cpu → modelarts"),
    ],
)
def test_each_change_is_a_reason_of_its_kind(changed: dict[str, Any], kind: str, words: str) -> None:
    (reason,) = look(now=ingredients(**changed)).found
    assert reason.kind == kind
    assert words in reason.text


def test_another_seed_is_no_change_when_seeds_are_set() -> None:
    other = ingredients(settings={"epochs": 30, "seed": 2})
    assert look(now=other, seeded=True).found == ()
    both = ingredients(settings={"epochs": 3, "seed": 2})
    assert [item.text for item in look(now=both, seeded=True).found] == ["the recipe changed (settings epochs: 30 → 3)"]


def test_several_changes_are_several_reasons_and_many_of_a_kind_one() -> None:
    changed = ingredients(inputs={"data": "e" * 64}, code={"models/a.py": "1", "models/b.py": "2"})
    data, code = look(now=changed).found
    assert (data.kind, code.kind) == ("data", "code")
    assert code.text == "code that decides the training changed (code models/a.py is new: 1 and 2 more)"


def test_age_counts_from_the_last_challenge_and_can_be_switched_off() -> None:
    (reason,) = look(state(since=NOW - 31 * DAY)).found
    assert reason.kind == "age"
    assert "31 days" in reason.text
    assert look(state(since=NOW - 30 * DAY)).found == ()
    assert look(state(kept(NOW - DAY, "k"), since=NOW - 99 * DAY)).found == ()
    assert look(state(since=NOW - 99 * DAY), max_age_days=0).found == ()


def test_a_training_that_lost_is_not_tried_again_for_the_same_reason() -> None:
    changed = ingredients(settings={"epochs": 3, "seed": 1})
    lost = state(kept(NOW - DAY, "k"))
    found = look(lost, now=changed)
    assert found.found == ()
    assert "the recipe changed" in found.none_because
    assert "the same training lost on 1970-04-10: it may be chance" in found.none_because
    assert look(lost, now=changed, keys=("other",)).found != ()
    assert look(lost, now=changed, keys=("k", "more")).found != (), "other seeds are another challenge"
    assert look(lost, now=changed, drift="contrast fell").found == ()
    demoted = state(Event("demoted", "a", "b", "", ("k",), NOW - DAY, "Ada", "no"))
    assert look(demoted, now=changed).found == ()
    elsewhere = state(Event("kept", "z", "", "", ("k",), NOW - DAY, "Ada", "no"))
    assert look(elsewhere, now=changed).found != (), "it lost against another champion"


def test_a_person_s_request_always_counts() -> None:
    (reason,) = look(state(kept(NOW - DAY, "k")), request="new optics").found
    assert (reason.kind, reason.text) == ("request", "requested: new optics")


def test_drift_is_a_reason_with_its_numbers() -> None:
    (reason,) = look(drift="class frequencies differ, index 0.31").found
    assert (reason.kind, reason.text) == ("drift", "class frequencies differ, index 0.31")


def test_new_labels_are_told_in_place_of_new_data() -> None:
    changed = ingredients(inputs={"data": "e" * 64})
    (reason,) = look(now=changed, labels=20).found
    assert (reason.kind, reason.text) == ("labels", "new labels: 20")
    assert look(now=ingredients(), labels=20).found == ()
