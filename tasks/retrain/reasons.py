"""Find the reasons to challenge the champion: a pure decision on the registry, the ingredients and the boards."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tasks.engine.diff import brief, differences

if TYPE_CHECKING:
    from infra.champions import Event, RegistryState

DAY = 86_400  # seconds


class ReasonKind(StrEnum):
    """What a reason is about."""

    FIRST = "first"
    LABELS = "labels"
    DATA = "data"
    CODE = "code"
    RECIPE = "recipe"
    TOOLS = "tools"
    AGE = "age"
    DRIFT = "drift"
    REQUEST = "request"


# Ingredient of a training's key to the kind of reason; every other ingredient counts as a tool.
_KINDS = {"inputs": ReasonKind.DATA, "code": ReasonKind.CODE, "settings": ReasonKind.RECIPE}
_SENTENCES = {
    ReasonKind.DATA: "the data are new",
    ReasonKind.CODE: "code that decides the training changed",
    ReasonKind.RECIPE: "the recipe changed",
    ReasonKind.TOOLS: "the tools changed",
}


@dataclass(frozen=True)
class Reason:
    """Why the champion is challenged: a kind for programs and a sentence for people."""

    kind: ReasonKind
    text: str


@dataclass(frozen=True)
class Reasons:
    """The reasons to challenge the champion, or in `none_because` why there are none."""

    found: tuple[Reason, ...]
    none_because: str = ""


@dataclass(frozen=True)
class Training:
    """The training of the challenger.

    Attributes:
        ingredients: of the key of the first seed's training.
        keys: of the trainings of all seeds.
        seeded: True when seeds are set, so that another seed is no change of the recipe.
    """

    ingredients: Mapping[str, Any]
    keys: Sequence[str]
    seeded: bool


def find_reasons(
    state: RegistryState,
    before: Mapping[str, Any] | None,
    training: Training,
    *,
    now: float,
    max_age_days: float,
    request: str = "",
    drift: str = "",
    labels: int = 0,
) -> Reasons:
    """Find the reasons to challenge the champion.

    A challenger that lost against this champion, or that was demoted in its favour, is not tried again for the same
    reason: its training would give the same bytes. Only a person's request and age, which counts from the last
    challenge, try it again.

    Args:
        state: of the registry.
        before: ingredients of the key of the champion's training; None without a champion.
        training: of the challenger.
        now: seconds since 1970.
        max_age_days: a champion unchallenged for longer is challenged; 0: never.
        request: a person's reason; empty for none.
        drift: description of the boards that drifted; empty for none.
        labels: pictures that people labelled since the champion's promotion.
    """
    changed = (
        [Reason(ReasonKind.FIRST, "there is no champion yet")]
        if before is None
        else list(_changes(before, training, labels))
    )
    if drift:
        changed.append(Reason(ReasonKind.DRIFT, drift))
    lost = _lost(state, training.keys)
    reasons = [] if lost else list(changed)
    idle = _idle_days(state, now)
    if max_age_days and idle > max_age_days:
        text = f"the champion was not challenged for {idle:.0f} days, more than {max_age_days:g}"
        reasons.append(Reason(ReasonKind.AGE, text))
    if request:
        reasons.append(Reason(ReasonKind.REQUEST, f"requested: {request}"))
    if reasons:
        return Reasons(tuple(reasons))
    if lost and changed:
        day = time.strftime("%Y-%m-%d", time.gmtime(lost.when))
        sentences = "; ".join(reason.text for reason in changed)
        return Reasons((), f"{sentences}; but the same training lost on {day}: {lost.why}")
    return Reasons((), "data, code and recipe are those of the champion, and it is not too old")


def _changes(before: Mapping[str, Any], training: Training, labels: int) -> Iterator[Reason]:
    found: dict[ReasonKind, list[str]] = {}
    for item in differences(_comparable(before, training), _comparable(training.ingredients, training)):
        found.setdefault(_KINDS.get(item.path[0], ReasonKind.TOOLS), []).append(str(item))
    if labels and found.pop(ReasonKind.DATA, []):
        yield Reason(ReasonKind.LABELS, f"new labels: {labels}")
    for kind, sentence in _SENTENCES.items():
        if kind in found:
            yield Reason(kind, f"{sentence} ({brief('; '.join(found[kind]))})")


def _comparable(ingredients: Mapping[str, Any], training: Training) -> dict[str, Any]:
    settings = dict(ingredients["settings"])
    if training.seeded:
        settings.pop("seed", None)
    return {**ingredients, "settings": settings}


def _lost(state: RegistryState, keys: Sequence[str]) -> Event | None:
    """Find the event in which these very trainings lost against the present champion."""
    champion = state.champion.release if state.champion else ""
    for event in reversed(state.history):
        if event.kind != "promoted" and event.champion == champion and set(event.trainings) == set(keys):
            return event
    return None


def _idle_days(state: RegistryState, now: float) -> float:
    """Days since the champion was last challenged, or was promoted."""
    if state.champion is None:
        return 0.0
    last = max(
        (event.when for event in state.history if event.champion == state.champion.release),
        default=state.champion.when,
    )
    return (now - last) / DAY
