"""Drift: does a board see what its model was made for? Its counts against those of the evaluation images."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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

Found = Literal["steady", "shifted", "drifted", "too few images", "unknown"]


@dataclass(frozen=True)
class BoardDrift:
    """What one board's counts say.

    Attributes:
        board: its name.
        found: the worst of its quantities, or why nothing is known.
        indices: population stability index by quantity; empty when nothing is known.
        release: which the board watched with.
        images: how many it answered.
        message: one sentence.
    """

    board: str
    found: Found
    message: str
    indices: Mapping[str, float]
    release: str = ""
    images: int = 0


def stability_index(reference: Sequence[int], seen: Sequence[int]) -> float:
    """The population stability index, Σ (p − q)·ln(p / q) over the bins.

    It is Jeffreys' symmetric divergence (H. Jeffreys 1946; S. Kullback and R. Leibler 1951), known under this name from
    credit scoring (N. Siddiqi, "Credit Risk Scorecards", 2006), where below 0.1 counts as no change and above 0.25 as a
    shift. Without any change its mean is about (bins − 1)·(1/n + 1/m) for n and m images, the mean of the chi-square
    variable that it resembles. Each bin is taken to hold half an image more than it does, so that an empty one gives a
    finite figure (R. Krichevsky and V. Trofimov 1981).

    Args:
        reference: images in each bin.
        seen: likewise, of the same bins.

    Raises:
        ValueError: the bins differ in number, or there are none.
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
        ValueError: they are not about the same bins.
    """
    indices = {name: stability_index(reference[name], seen.counts[name]) for name in QUANTITIES}
    worst = max(indices, key=lambda name: indices[name])
    found: Found = "steady"
    message = f"{worst} moved most, by {indices[worst]:.3f}"
    if seen.images < limits.min_images:
        found, message = "too few images", f"{seen.images} images, and drift.min_images is {limits.min_images}"
    elif indices[worst] >= min(limits.notice, limits.limit):
        found, bound = ("drifted", limits.limit) if indices[worst] >= limits.limit else ("shifted", limits.notice)
        moved = [f"{name} ({value:.3f})" for name, value in _falling(indices) if value >= bound]
        message = f"{', '.join(moved)} of {seen.images} images, where {bound:g} is the bound"
    return BoardDrift(board, found, message, indices, seen.release, seen.images)


def survey(
    world: World, fleet: Fleet, boards: Iterable[str], limits: DriftSettings, *, at_once: int = 32
) -> list[BoardDrift]:
    """Ask boards what they have seen; one that cannot be asked, or has not watched, is `unknown`, not an error.

    Args:
        world: opens boards.
        fleet: keeps the releases, and with them the references.
        boards: names.
        limits: the bounds.
        at_once: boards that are asked at once.
    """

    def look(name: str) -> BoardDrift:
        try:
            seen = world.board(name).observations()
            if seen is None:
                return BoardDrift(name, "unknown", "it has not watched yet", {})
            return judge(name, reference_of(fleet, seen.release), seen, limits)
        except AtlasFlowError as error:
            return BoardDrift(name, "unknown", error.message, {})
        except ValueError as error:
            return BoardDrift(name, "unknown", f"its counts are not those of its release: {error}", {})

    names = list(boards)
    with ThreadPoolExecutor(max(1, min(at_once, len(names)))) as pool:
        return list(pool.map(look, names))


def reason(found: Iterable[BoardDrift]) -> str:
    """One sentence that names each board that drifted, and in what; empty when none did."""
    return "; ".join(
        f"board {item.board} sees other images: {item.message}" for item in found if item.found == "drifted"
    )


def _falling(indices: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(indices.items(), key=lambda item: -item[1])
