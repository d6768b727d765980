"""When a champion is challenged, and when not again."""

import pytest

from infra.champions import Event, State
from tasks.retrain.reasons import DAY, Training, look_for_reasons
from tests.unit.infra.champions import champion

NOW = 100 * DAY


def ingredients(**changed):
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


def state(*events, since=NOW):
    stands = champion("a", when=since)
    return State(1, stands, False, {"a": stands}, events)


def kept(when, *trainings):
    return Event("kept", "a", "", "", trainings, when, "Ada", "it may be chance")


def look(known=None, before=None, now=None, keys=("k",), seeded=False, **options):
    training = Training(now or ingredients(), keys, seeded)
    values = {"max_age_days": 30, **options}
    return look_for_reasons(known or state(), before or ingredients(), training, now=NOW, **values)


def test_without_a_champion_there_is_a_reason():
    found = look_for_reasons(State(), None, Training(ingredients(), ("k",), False), now=NOW, max_age_days=30)
    assert [item.kind for item in found.reasons] == ["first"]


def test_when_all_is_as_it_was_there_is_none():
    found = look()
    assert found.reasons == ()
    assert "champion's own" in found.instead


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
def test_each_change_is_a_reason_of_its_kind(changed, kind, words):
    (reason,) = look(now=ingredients(**changed)).reasons
    assert reason.kind == kind
    assert words in reason.text


def test_another_seed_is_no_change_when_seeds_were_asked_for():
    other = ingredients(settings={"epochs": 30, "seed": 2})
    assert look(now=other, seeded=True).reasons == ()
    both = ingredients(settings={"epochs": 3, "seed": 2})
    assert [item.text for item in look(now=both, seeded=True).reasons] == [
        "the recipe changed (settings epochs: 30 → 3)"
    ]


def test_several_changes_are_several_reasons_and_many_of_a_kind_one():
    changed = ingredients(inputs={"data": "e" * 64}, code={"models/a.py": "1", "models/b.py": "2"})
    data, code = look(now=changed).reasons
    assert (data.kind, code.kind) == ("data", "code")
    assert code.text == "code that decides the training changed (code models/a.py is new: 1 and 2 more)"


def test_age_counts_from_the_last_challenge_and_can_be_switched_off():
    (reason,) = look(state(since=NOW - 31 * DAY)).reasons
    assert reason.kind == "age"
    assert "31 days" in reason.text
    assert look(state(since=NOW - 30 * DAY)).reasons == ()
    assert look(state(kept(NOW - DAY, "k"), since=NOW - 99 * DAY)).reasons == ()
    assert look(state(since=NOW - 99 * DAY), max_age_days=0).reasons == ()


def test_a_training_that_lost_is_not_tried_again_for_the_same_reason():
    changed = ingredients(settings={"epochs": 3, "seed": 1})
    lost = state(kept(NOW - DAY, "k"))
    found = look(lost, now=changed)
    assert found.reasons == ()
    assert "the recipe changed" in found.instead
    assert "the same training lost on 1970-04-10: it may be chance" in found.instead
    assert look(lost, now=changed, keys=("other",)).reasons != ()
    assert look(lost, now=changed, keys=("k", "more")).reasons != (), "other seeds are another challenge"
    assert look(lost, now=changed, drift="contrast fell").reasons == ()
    demoted = state(Event("demoted", "a", "b", "", ("k",), NOW - DAY, "Ada", "no"))
    assert look(demoted, now=changed).reasons == ()
    elsewhere = state(Event("kept", "z", "", "", ("k",), NOW - DAY, "Ada", "no"))
    assert look(elsewhere, now=changed).reasons != (), "it lost against another champion"


def test_a_person_s_word_always_counts():
    (reason,) = look(state(kept(NOW - DAY, "k")), word="new optics").reasons
    assert (reason.kind, reason.text) == ("word", "asked for: new optics")


def test_drift_is_a_reason_with_its_numbers():
    (reason,) = look(drift="class frequencies differ, index 0.31").reasons
    assert (reason.kind, reason.text) == ("drift", "class frequencies differ, index 0.31")
