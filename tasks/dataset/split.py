"""Split pictures into training and evaluation: by class, by seed, with near-duplicates on one side."""

from __future__ import annotations

from collections import Counter, defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING

from infra.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.dataset.values import Entry, Rules

TRAIN, EVAL = "train", "eval"


def split(entries: Sequence[Entry], groups: Sequence[Sequence[int]], rules: Rules) -> Mapping[str, Sequence[int]]:
    """Return the places of the pictures of each part, in an order that depends on their bytes and the seed alone.

    A picture's place in the order does not depend on the others, so that new pictures move few old ones.

    Args:
        entries: the usable pictures; all of them have a part, or none.
        groups: places of pictures that belong on one side.
        rules: share and seed.

    Raises:
        UserError: a part would be empty.
    """
    ranks = [sha256(f"{rules.seed} {entry.sha256}".encode()).hexdigest() for entry in entries]
    if all(entry.part for entry in entries):
        held_out = {place for place, entry in enumerate(entries) if entry.part == EVAL}
    else:
        held_out = _held_out(entries, groups, ranks, rules.eval_share)
    order = sorted(range(len(entries)), key=lambda place: (ranks[place], place))
    parts = {
        TRAIN: [place for place in order if place not in held_out],
        EVAL: [place for place in order if place in held_out],
    }
    for name, places in parts.items():
        if not places:
            raise UserError(
                f"the part {name} would have no picture", hint="add pictures that differ, or set data.eval_share"
            )
    return parts


def _held_out(
    entries: Sequence[Entry], groups: Sequence[Sequence[int]], ranks: Sequence[str], share: float
) -> set[int]:
    by_class: dict[str, list[Sequence[int]]] = defaultdict(list)
    for group in groups:
        [(label, _)] = Counter(entries[place].label for place in group).most_common(1)
        by_class[label].append(group)
    chosen: set[int] = set()
    for found in by_class.values():
        count = sum(map(len, found))
        wanted = max(1, round(count * share)) if len(found) > 1 else 0
        taken = 0
        for group in sorted(found, key=lambda group: min(ranks[place] for place in group))[: len(found) - 1]:
            if taken + len(group) <= wanted:
                chosen.update(group)
                taken += len(group)
    return chosen
