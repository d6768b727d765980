"""Is there a reason to challenge the champion? A pure decision on what the registry and the keys say."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra.champions import Event, State
from tasks.engine.diff import brief, differences

Kind = Literal["first", "data", "code", "recipe", "tools", "age", "drift", "word"]
DAY = 86_400
# By the first word of a line of `tasks.engine.diff.differences`; whatever else differs is a tool.
_KINDS: Mapping[str, Kind] = {"inputs": "data", "code": "code", "settings": "recipe"}
_WORDS: Mapping[Kind, str] = {
    "data": "the data are new",
    "code": "code that decides the training changed",
    "recipe": "the recipe changed",
    "tools": "the tools changed",
}


@dataclass(frozen=True)
class Reason:
    """Why the champion is challenged, in a word for programs and in words for people."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Found:
    """The reasons to challenge the champion, or in `instead` why there is none."""

    reasons: tuple[Reason, ...]
    instead: str = ""


@dataclass(frozen=True)
class Training:
    """What would be trained.

    Attributes:
        ingredients: of the key of the first seed's training.
        keys: of the trainings of all seeds.
        seeded: True when seeds were asked for, so that another seed is no change of the recipe.
    """

    ingredients: Mapping[str, Any]
    keys: Sequence[str]
    seeded: bool


def look_for_reasons(
    state: State,
    before: Mapping[str, Any] | None,
    training: Training,
    *,
    now: float,
    max_age_days: float,
    word: str = "",
    drift: str = "",
) -> Found:
    """Say why the champion is to be challenged.

    A challenger that lost against this champion, or that it took the place of after a demotion, is not tried again for
    the same reason: its training would give the same bytes. Only a person's word tries it again, and age, which counts
    from the last challenge.

    Args:
        state: of the registry.
        before: ingredients of the key of the champion's training; None without a champion.
        training: what would be trained.
        now: seconds since 1970.
        max_age_days: a champion unchallenged for longer is challenged; 0: never.
        word: an operator's reason; empty for none.
        drift: what drifted on the boards, in words; empty for nothing.
    """
    changed = [Reason("first", "there is no champion yet")] if before is None else list(_changes(before, training))
    if drift:
        changed.append(Reason("drift", drift))
    decided = _decided(state, training.keys)
    reasons = [] if decided else changed
    idle = _idle_days(state, now)
    if max_age_days and idle > max_age_days:
        reasons.append(
            Reason("age", f"the champion was not challenged for {idle:.0f} days, more than {max_age_days:g}")
        )
    if word:
        reasons.append(Reason("word", f"asked for: {word}"))
    if reasons:
        return Found(tuple(reasons))
    if decided and changed:
        day = time.strftime("%Y-%m-%d", time.gmtime(decided.when))
        return Found(
            (), f"{'; '.join(item.text for item in changed)}; but the same training lost on {day}: {decided.why}"
        )
    return Found((), "data, code and recipe are the champion's own, and it is not too old")


def _changes(before: Mapping[str, Any], training: Training) -> Iterator[Reason]:
    lines: dict[Kind, list[str]] = {}
    for line in differences(_comparable(before, training), _comparable(training.ingredients, training)):
        lines.setdefault(_KINDS.get(line.path[0], "tools"), []).append(str(line))
    for kind, text in _WORDS.items():
        if kind in lines:
            yield Reason(kind, f"{text} ({brief('; '.join(lines[kind]))})")


def _comparable(ingredients: Mapping[str, Any], training: Training) -> dict[str, Any]:
    settings = dict(ingredients["settings"])
    if training.seeded:
        settings.pop("seed", None)
    return {**ingredients, "settings": settings}


def _decided(state: State, keys: Sequence[str]) -> Event | None:
    """The event by which these very trainings did not become, or did not stay, what stands over this champion."""
    champion = state.champion.release if state.champion else ""
    for event in reversed(state.history):
        if event.kind != "promoted" and event.champion == champion and set(event.trainings) == set(keys):
            return event
    return None


def _idle_days(state: State, now: float) -> float:
    """Days since the champion was last challenged, or became champion."""
    if state.champion is None:
        return 0.0
    last = max(
        (event.when for event in state.history if event.champion == state.champion.release),
        default=state.champion.when,
    )
    return (now - last) / DAY
