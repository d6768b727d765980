from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from infra.errors import UserError
from tasks.dataset.duplicates import fingerprint, groups, thumbnail
from tasks.dataset.split import split
from tasks.dataset.values import Entry, Look, Rules
from tests.unit.tasks.dataset_pictures import drawing

RULES = Rules(32, "stretch", "bilinear", "exif", 0.25, 1, 0.1, "fine")


def entry(number: int, label: str, part: str | None = None) -> Entry:
    return Entry(f"{label}/{number}", Path("x"), f"digest {label} {number}", label, part)


ENTRIES = [entry(number, label) for label in "ab" for number in range(40)]
SINGLE = [[place] for place in range(80)]


def look(image: np.ndarray) -> Look:  # type: ignore[type-arg]
    return Look(image.shape[1], image.shape[0], fingerprint(image), thumbnail(image))


def test_each_class_gives_its_share() -> None:
    parts = split(ENTRIES, SINGLE, RULES)
    assert Counter(ENTRIES[place].label for place in parts["eval"]) == {"a": 10, "b": 10}
    assert sorted([*parts["train"], *parts["eval"]]) == list(range(80))


def test_new_pictures_move_few_old_ones() -> None:
    before = {ENTRIES[place].name for place in split(ENTRIES, SINGLE, RULES)["eval"]}
    more = [*ENTRIES, *(entry(number, "a") for number in range(40, 44))]
    after = {more[place].name for place in split(more, [[place] for place in range(84)], RULES)["eval"]}
    assert len(before - after) <= 4


def test_a_group_stays_on_one_side_whatever_the_seed() -> None:
    together = [[0, 1, 2, 3], *SINGLE[4:]]
    for seed in range(20):
        rules = Rules(32, "stretch", "bilinear", "exif", 0.25, seed, 0.1, "fine")
        held_out = set(split(ENTRIES, together, rules)["eval"])
        assert held_out & {0, 1, 2, 3} in (set(), {0, 1, 2, 3})


def test_given_parts_are_kept_and_empty_ones_refused() -> None:
    given = [entry(0, "a", "train"), entry(1, "a", "eval"), entry(2, "b", "train")]
    assert set(split(given, [[0, 1], [2]], RULES)["eval"]) == {1}
    with pytest.raises(UserError, match="the part eval would have no picture"):
        split([entry(0, "a"), entry(1, "b")], [[0], [1]], RULES)


def test_near_duplicates_are_found_and_different_pictures_are_not() -> None:
    one = np.asarray(drawing("disc", 1, (64, 64)).resize((16, 16)).resize((64, 64)))
    brighter = np.clip(one.astype(int) + 4, 0, 255).astype(np.uint8)
    others = [np.asarray(drawing("disc", seed, (64, 64))) for seed in range(2, 30)]
    looks = [look(image) for image in (one, brighter, *others)]
    found = groups(looks, [str(place) for place in range(len(looks))])
    assert [group for group in found if len(group) > 1] == [[0, 1]]


def test_plain_pictures_with_one_fingerprint_are_not_equal() -> None:
    plain = [look(np.full((32, 32, 3), value, np.uint8)) for value in (0, 100, 200)]
    assert len({item.fingerprint for item in plain}) == 1
    assert groups(plain, ["1", "2", "3"]) == [[0], [1], [2]]
    assert groups(plain, ["1", "2", "1"]) == [[0, 2], [1]]
