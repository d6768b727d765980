"""The space of a search: recipes, networks, and fields of the training specification, as values or ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from infra.errors import UserError
from models.networks.registry import NETWORKS
from models.spec.recipes import RECIPES
from models.spec.train_spec import FIELDS
from models.spec.values import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

STRUCTURE = ("network", "stem", "width", "image_size", "classes")
"""Factors that change what the network is; all others change how it is trained."""
_RANGE = re.compile(r"(log:)?\s*([^,]+?)\s*\.\.\s*([^,]+)")


@dataclass(frozen=True)
class Choice:
    """A factor with a list of values, as the user wrote them."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """A factor with any value between two numbers.

    Attributes:
        name: of the factor.
        low: smallest value.
        high: largest value.
        log: draw uniformly in the logarithm.
        whole: only whole numbers.
    """

    name: str
    low: float
    high: float
    log: bool
    whole: bool


Factor = Choice | Range


@dataclass(frozen=True)
class Space:
    """All factors of a search, those of the network's structure first, as in the summary."""

    factors: tuple[Factor, ...]

    @property
    def size(self) -> int | None:
        """Number of configurations; None when a factor is a range."""
        counts = [len(factor.values) for factor in self.factors if isinstance(factor, Choice)]
        return prod(counts) if len(counts) == len(self.factors) else None

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the factors that can differ between two configurations."""
        return tuple(factor.name for factor in self.factors if isinstance(factor, Range) or len(factor.values) > 1)


def space_of(recipes: Sequence[str], networks: Sequence[str], fields: Mapping[str, str]) -> Space:
    """Build the space of a request.

    Example:
        >>> space_of(["lenet5-sample"], [], {"train.learning_rate": "0.01,0.1"}).size
        2

    Args:
        recipes: at least one.
        networks: replace the networks of the recipes; empty: those of the recipes.
        fields: `train.FIELD` to `VALUE,VALUE,…`, `LOW..HIGH` or `log:LOW..HIGH`.

    Raises:
        UserError: an unknown recipe, network or field, a repeated value, or a malformed range.
    """
    for what, names, known in (("recipe", recipes, RECIPES), ("network", networks, NETWORKS)):
        for name in names:
            if name not in known:
                raise UserError(f"there is no {what} '{name}'", hint=nearest(name, known))
    factors: list[Factor] = [_choice("recipe", recipes)]
    if networks:
        factors.append(_choice("network", networks))
    factors += [_factor(name, text) for name, text in fields.items()]
    return Space(tuple(sorted(factors, key=_structure_first)))


def _structure_first(factor: Factor) -> int:
    return STRUCTURE.index(factor.name) if factor.name in STRUCTURE else len(STRUCTURE)


def _factor(setting: str, text: str) -> Factor:
    section, _, name = setting.partition(".")
    if section == "train" and name in ("recipe", "network"):
        raise UserError(f"{setting} has its own option", hint=f"use --{name}s {text}")
    if section != "train" or name not in FIELDS:
        hint = nearest(name or setting, FIELDS)
        raise UserError(f"'{setting}' cannot be varied", hint=f"write train.FIELD=VALUE,VALUE; {hint}")
    found = _RANGE.fullmatch(text.strip())
    return _range(name, text, found) if found else _choice(name, text.split(","))


def _choice(name: str, values: Iterable[str]) -> Choice:
    cleaned = tuple(value.strip() for value in values)
    if not all(cleaned):
        raise UserError(f"train.{name}: a value is empty", hint="separate values with single commas")
    if len(set(cleaned)) < len(cleaned):
        raise UserError(f"train.{name}: a value is repeated: {', '.join(cleaned)}")
    return Choice(name, cleaned)


def _range(name: str, text: str, found: re.Match[str]) -> Range:
    default = FIELDS[name]
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        raise UserError(f"train.{name}={text}: only numbers have ranges", hint="list the values, separated by commas")
    whole = isinstance(default, int)
    try:
        low, high = (float(int(end)) if whole else float(end) for end in (found[2], found[3]))
    except ValueError as error:
        kind = "whole numbers" if whole else "numbers"
        raise UserError(f"train.{name}={text}: both sides of the dots must be {kind}") from error
    if not low < high or (found[1] and low <= 0):
        wanted = "0 < LOW < HIGH" if found[1] else "LOW < HIGH"
        raise UserError(f"train.{name}={text} is not a range", hint=f"write LOW..HIGH with {wanted}")
    return Range(name, low, high, bool(found[1]), whole)
