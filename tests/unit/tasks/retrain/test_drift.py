"""The stability index against worked values, and what is said of a board."""

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infra.errors import Corrupt, Transient, UserError
from infra.fleet import Fleet
from infra.ports.upkeep import Observations
from infra.settings import load
from infra.store.artifacts import folder_files
from models.preprocess import Contract, softmax
from tasks.release.drift_baseline import FILE, reference, reference_of
from tasks.retrain.drift import judge, reason, stability_index, survey
from tests import boards

LIMITS = load().drift
EVEN = {name: [100] * 10 for name in ("class", "confidence", "red", "green", "blue")}


def seen(images: int = 1000, release: str = "first", **counts: Any) -> Any:
    return Observations(release, 1.0, 2.0, images, 0, EVEN | counts)


def test_the_index_of_worked_examples() -> None:
    """With half an image more in each bin, 50:50 against 25:75 are 0.5:0.5 against 25.5/101 : 75.5/101."""
    low, high = 25.5 / 101, 75.5 / 101
    worked = (0.5 - low) * math.log(0.5 / low) + (0.5 - high) * math.log(0.5 / high)
    assert worked == pytest.approx(0.2687, abs=5e-5)
    assert stability_index([50, 50], [25, 75]) == pytest.approx(worked, abs=1e-12)
    assert stability_index([25, 75], [50, 50]) == pytest.approx(worked, abs=1e-12)
    assert stability_index([10, 20, 30], [10, 20, 30]) == 0
    assert stability_index([100, 0], [0, 100]) == pytest.approx(2 * 100 / 101 * math.log(201), abs=1e-12)
    assert stability_index([0, 0], [0, 0]) == 0


def test_without_a_change_its_mean_is_what_the_docstring_says() -> None:
    random = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    pairs = [[random.multinomial(count, shares).tolist() for count in (1000, 200)] for _ in range(400)]
    found = [stability_index(*pair) for pair in pairs]
    assert np.mean(found) == pytest.approx(9 * (1 / 1000 + 1 / 200), rel=0.1)


@pytest.mark.parametrize("bins", [([1, 2], [1, 2, 3]), ([], [])])
def test_other_bins_cannot_be_compared(bins: tuple[list[int], list[int]]) -> None:
    with pytest.raises(ValueError, match="bins cannot be compared"):
        stability_index(*bins)


@pytest.mark.parametrize(
    ("counts", "found", "message"),
    [
        ({}, "steady", "moved most, by 0.000"),
        ({"red": [150, 50] * 5}, "drifted", r"red \(0.27\d\) of 1000 images, where 0.25 is the bound"),
        ({"red": [130, 70] * 5}, "shifted", r"^red \(0.09\d\)"),
        ({"red": [190, 10] * 5, "class": [1000] + [0] * 9}, "drifted", r"class \(.*\), red \("),
        ({"images": 199, "red": [190, 10] * 5}, "too few images", "199 images, and drift.min_images is 200"),
    ],
)
def test_a_board_is_judged_by_its_worst_quantity(counts: Any, found: str, message: str) -> None:
    result = judge("porch", EVEN, seen(**counts), LIMITS.model_copy(update={"notice": 0.08}))
    assert result.found == found
    assert re.search(message, result.message)


def test_a_limit_below_the_notice_is_heeded() -> None:
    """As for who lowers `drift.limit` alone."""
    result = judge("porch", EVEN, seen(red=[130, 70] * 5), LIMITS.model_copy(update={"limit": 0.05}))
    assert result.found == "drifted"
    assert re.search(r"^red \(0.09\d\) of 1000 images, where 0.05 is the bound", result.message)


def test_a_drift_is_named_with_board_and_quantity() -> None:
    dark = judge("porch", EVEN, seen(red=[1000] + [0] * 9), LIMITS)
    said = reason([judge("lab", EVEN, seen(), LIMITS), dark])
    assert said.startswith("board porch sees other images: red (")
    assert "lab" not in said
    assert reason([]) == ""


def test_the_reference_counts_what_a_board_would() -> None:
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[1:, :, :, 0] = 255
    logits = np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55], [0.999, 0.001]], np.float32))
    found = reference(images, logits, Contract(16))
    assert found["images"] == 4
    counts = found["counts"]
    assert counts["class"] == [2, 2]
    assert counts["red"] == [1] + [0] * 8 + [3]
    assert counts["green"][0] == 4
    confident = softmax(logits).max(axis=1)
    assert counts["confidence"] == np.histogram(confident, 10, (0, 1))[0].tolist()


def release_with_reference(folder: Path, text: str | None = None) -> Any:
    boards.release_folder(folder)
    if text is not None:
        (folder / FILE).write_text(text)
    return folder_files(folder)[1]


def test_a_fleet_is_asked_and_silence_is_no_drift(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "home")
    fleet.keep(release_with_reference(tmp_path / "r", '{"counts": ' + str(EVEN).replace("'", '"') + "}"), "here")

    def away() -> None:
        raise Transient("it does not answer")

    odd: dict[str, Any] = {"class": [1, 2]}
    answers = {
        "lab": seen,
        "porch": lambda: seen(red=[1000] + [0] * 9),
        "new": lambda: None,
        "away": away,
        "stranger": lambda: seen(release="other"),
        "odd": lambda: seen(**odd),
    }
    world: Any = SimpleNamespace(board=lambda name: SimpleNamespace(observations=answers[name]))
    found = {item.board: item for item in survey(world, fleet, answers, LIMITS)}
    assert {name: item.found for name, item in found.items()} == {
        "lab": "steady",
        "porch": "drifted",
        **dict.fromkeys(("new", "away", "stranger", "odd"), "unknown"),
    }
    assert found["new"].message == "it has not watched yet"
    assert found["away"].message == "it does not answer"
    assert "release other is not kept here" in found["stranger"].message
    assert "10 and 2 bins" in found["odd"].message
    assert survey(world, fleet, [], LIMITS) == []


def test_a_release_without_a_reference_says_so(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "home")
    fleet.keep(release_with_reference(tmp_path / "r"), "here")
    with pytest.raises(UserError, match=f"release first has no {FILE}"):
        reference_of(fleet, "first")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"counts": {"class": [1]}}', '{"counts": {"class": ["1"]}}'])
def test_a_damaged_reference_is_corrupt(tmp_path: Path, text: str) -> None:
    fleet = Fleet(tmp_path / "home")
    fleet.keep(release_with_reference(tmp_path / "r", text), "here")
    with pytest.raises(Corrupt, match=f"{FILE} is damaged"):
        reference_of(fleet, "first")
