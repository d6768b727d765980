"""Drift of what boards see: their counts compared with those of the evaluation images."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from infra.board.agent.counts import QUANTITIES
from infra.errors import AtlasFlowError
from tasks.release.drift_baseline import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from infra.fleet import Fleet
    from infra.ports.upkeep import Observations
    from infra.settings.drift import DriftSettings
    from infra.world import World

_SMOOTHING = 0.5


class Drift(StrEnum):
    """The state of a board; `TOO_FEW` and `UNKNOWN` mean that nothing can be concluded."""

    STEADY = "steady"
    SHIFTED = "shifted"
    DRIFTED = "drifted"
    TOO_FEW = "too few images"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class BoardDrift:
    """The drift of one board.

    Attributes:
        board: its name.
        found: the state of its worst quantity.
        message: the details, for people.
        indices: population stability index by quantity; empty when nothing is known.
        release: the release that classified the images.
        images: their number.
    """

    board: str
    found: Drift
    message: str
    indices: Mapping[str, float]
    release: str = ""
    images: int = 0


def stability_index(reference: Sequence[int], seen: Sequence[int]) -> float:
    """Compute the population stability index, Σ (p − q)·ln(p / q) over the bins.

    This is Jeffreys' symmetric divergence (H. Jeffreys 1946; S. Kullback and R. Leibler 1951). The name comes from
    credit scoring (N. Siddiqi, "Credit Risk Scorecards", 2006), where below 0.1 counts as no change and above 0.25 as a
    shift. Without a change, its mean is about (bins − 1)·(1/n + 1/m) for n and m images, as it is approximately
    chi-squared. Half an image is added to each bin, so that an empty bin gives a finite value (R. Krichevsky and
    V. Trofimov 1981).

    Args:
        reference: images in each bin.
        seen: likewise, for the same bins.

    Raises:
        ValueError: the numbers of bins differ, or there are none.
    """
    if len(reference) != len(seen) or not seen:
        raise ValueError(f"{len(reference)} and {len(seen)} bins cannot be compared")
    total = 0.0
    for one, two in zip(_shares(reference), _shares(seen), strict=True):
        total += (one - two) * math.log(one / two)
    return total


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts) + _SMOOTHING * len(counts)
    return [(number + _SMOOTHING) / whole for number in counts]


def judge(board: str, reference: Mapping[str, Sequence[int]], seen: Observations, limits: DriftSettings) -> BoardDrift:
    """Compare a board's counts with the reference of its release.

    Raises:
        ValueError: their bins differ.
    """
    indices = {name: stability_index(reference[name], seen.counts[name]) for name in QUANTITIES}
    worst = max(indices, key=lambda name: indices[name])
    found = Drift.STEADY
    message = f"{worst} moved most, by {indices[worst]:.3f}"
    if seen.images < limits.min_images:
        found, message = Drift.TOO_FEW, f"{seen.images} images, and drift.min_images is {limits.min_images}"
    elif indices[worst] >= min(limits.notice, limits.limit):
        drifted = indices[worst] >= limits.limit
        found, bound = (Drift.DRIFTED, limits.limit) if drifted else (Drift.SHIFTED, limits.notice)
        moved = [f"{name} ({value:.3f})" for name, value in _falling(indices) if value >= bound]
        message = f"{', '.join(moved)} of {seen.images} images, where {bound:g} is the bound"
    return BoardDrift(board, found, message, indices, seen.release, seen.images)


def survey(
    world: World, fleet: Fleet, boards: Iterable[str], limits: DriftSettings, *, at_once: int = 32
) -> list[BoardDrift]:
    """Compute the drift of boards; a board that does not answer, or has not watched, is `UNKNOWN`, not an error.

    Args:
        world: opens boards.
        fleet: has the releases with their references.
        boards: names.
        limits: the bounds.
        at_once: boards to ask at the same time.
    """

    def look(name: str) -> BoardDrift:
        try:
            seen = world.board(name).observations()
            if seen is None:
                return BoardDrift(name, Drift.UNKNOWN, "it has not watched yet", {})
            return judge(name, reference_of(fleet, seen.release), seen, limits)
        except AtlasFlowError as error:
            return BoardDrift(name, Drift.UNKNOWN, error.message, {})
        except ValueError as error:
            return BoardDrift(name, Drift.UNKNOWN, f"its counts do not fit its release: {error}", {})

    names = list(boards)
    with ThreadPoolExecutor(max(1, min(at_once, len(names)))) as pool:
        return list(pool.map(look, names))


def reason(found: Iterable[BoardDrift]) -> str:
    """Describe the boards that drifted, and their quantities, in a sentence; empty when none did."""
    return "; ".join(
        f"board {item.board} sees other images: {item.message}" for item in found if item.found == Drift.DRIFTED
    )


def _falling(indices: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(indices.items(), key=lambda item: -item[1])
