"""SIGKILL at every write boundary of every stage: the next run repeats only that stage, and nothing half-made shows.

The boundaries of a stage are those that a run of it passes. For two stages they include every change of a file in the
home: one that makes a folder and keeps its scratch, and one that makes files and keeps none. The others write through
the same engine, and are killed at the points of the fault plan. Where a point is passed for each of many files, or
changes differ only in their file, the first, one in the middle and the last are taken; of the download all are.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.resilience.sweep import Sweep


@pytest.mark.slow
def test_before_every_change_of_a_file(driver: Any, reference: Any, tmp_path: Path) -> None:
    sweep = Sweep(driver, reference, tmp_path, "download", files=True)
    assert sweep.kill_each(sweep.boundaries()) > 50


@pytest.mark.slow
def test_before_every_kind_of_change_of_a_file(driver: Any, reference: Any, tmp_path: Path) -> None:
    """Conversion copies the board's program, and links images three times: hundreds of changes of few kinds."""
    sweep = Sweep(driver, reference, tmp_path, "convert", files=True)
    assert sweep.kill_each(sweep.samples(sweep.boundaries())) > 100


@pytest.mark.parametrize("stage", ["train", "evaluate", "export"])
def test_a_pure_stage(driver: Any, reference: Any, tmp_path: Path, stage: str) -> None:
    sweep = Sweep(driver, reference, tmp_path, stage)
    assert sweep.kill_each(sweep.samples(sweep.boundaries())) > 15


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["upload", "publish"])
def test_an_effect_on_the_bucket(driver: Any, reference: Any, tmp_path: Path, stage: str) -> None:
    bucket = reference.bucket
    seen = set()
    sweep = Sweep(driver, reference, tmp_path, stage, at_once=1)
    sweep.restore = lambda: bucket.empty(stage)
    sweep.check = lambda: seen.add(bucket.check(stage))
    sweep.kill_each(sweep.samples(sweep.until_made()))
    assert 0 in seen
    assert len(seen) > 2, "no kill left a part of the objects"


@pytest.mark.slow
def test_an_effect_on_the_board(driver: Any, reference: Any, tmp_path: Path) -> None:
    board = reference.board
    seen = set()
    sweep = Sweep(driver, reference, tmp_path, "deploy", at_once=1)
    sweep.restore = board.restore
    sweep.check = lambda: seen.add(board.check())
    sweep.kill_each(sweep.samples(sweep.until_made()))
    assert seen == {reference.first, reference.release}
    assert board.check() == reference.release


@pytest.mark.parametrize("stage", ["upload", "publish", "deploy"])
def test_an_effect_that_the_world_has_already(driver: Any, reference: Any, tmp_path: Path, stage: str) -> None:
    """What comes then is the store alone, and needs no real board."""
    sweep = Sweep(driver, reference, tmp_path, stage, real_board=False)
    assert sweep.kill_each(sweep.behind()) > 8


def test_a_look_at_an_effect_that_holds(driver: Any, reference: Any, tmp_path: Path) -> None:
    sweep = Sweep(driver, reference, tmp_path, "upload", files=True, done=True)
    assert sweep.kill_each(sweep.boundaries()) > 5
