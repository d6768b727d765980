import json
import os
from pathlib import Path

import pytest

from infra.store.runs import Outcome, RunRecord, Runs, StageRecord


def record(number: int, *stages: StageRecord) -> RunRecord:
    return RunRecord(f"2026{number:04}", float(number), "local", list(stages), f"flow-{number}")


def stage(name: str, outcome: Outcome = "ran", key: str = "k") -> StageRecord:
    return StageRecord(name, key, outcome, "because", 1.5, "note")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_a_record_comes_back_as_it_was_saved(runs: Runs) -> None:
    saved = record(1, stage("train"), stage("evaluate", "failed"))
    runs.save(saved)
    assert runs.latest(1) == [saved]


def test_the_latest_runs_come_newest_first(runs: Runs) -> None:
    for number in (3, 1, 2):
        runs.save(record(number))
    assert [item.started for item in runs.latest(2)] == [3.0, 2.0]
    assert [item.started for item in runs.latest(9)] == [3.0, 2.0, 1.0]


def test_the_run_of_a_process_is_found_among_many_newer_ones(runs: Runs) -> None:
    own = RunRecord(f"20260101T000000-000-{os.getpid()}", 1.0, "local")
    others = [RunRecord(f"20260101T0001{number:02}-000-{os.getpid()}0", 2.0, "local") for number in range(9)]
    for item in (own, *others):
        runs.save(item)
    assert runs.of_process(os.getpid()) == own
    assert runs.of_process(os.getpid() * 100 + 7) is None


def test_there_may_be_no_run_yet(runs: Runs) -> None:
    assert runs.latest(3) == []
    assert runs.last_of("train") is None


def test_the_last_attempt_at_a_stage_may_lie_some_runs_back(runs: Runs) -> None:
    runs.save(record(1, stage("train", "failed", "old")))
    runs.save(record(2, stage("train", "ran", "new"), stage("export", "failed", "e")))
    runs.save(record(3, stage("download")))
    assert runs.last_of("train") == stage("train", "ran", "new")
    assert runs.last_of("export") == stage("export", "failed", "e")
    assert runs.last_of("deploy") is None


def test_ids_sort_by_time_and_name_the_process(tmp_path: Path) -> None:
    times = iter([1_000.0, 1_000.001, 1_001.0, 100_000.0])
    runs = Runs(tmp_path, lambda: next(times))
    ids = [runs.begin("local").id for _ in range(4)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 4
    assert all(identifier.endswith(f"-{os.getpid()}") for identifier in ids)


def test_a_record_is_replaced_whole_after_each_stage(runs: Runs) -> None:
    growing = record(1)
    for name in ("download", "upload"):
        growing.stages.append(stage(name))
        runs.save(growing)
    (path,) = runs.folder.iterdir()
    assert [item["stage"] for item in json.loads(path.read_text())["stages"]] == ["download", "upload"]


def test_ids_sort_in_the_order_of_the_runs_when_the_clock_was_set_back(tmp_path: Path) -> None:
    times = iter([100_000.0, 1_000.0, 999.0])
    runs = Runs(tmp_path, lambda: next(times))
    ids = []
    for _ in range(3):
        record = runs.begin("local")
        runs.save(record)
        ids.append(record.id)
    assert ids == sorted(set(ids))
    assert record.started == 999.0


def test_runs_are_counted(runs: Runs) -> None:
    assert runs.count() == 0
    for number in range(3):
        runs.save(record(number))
    assert runs.count() == 3
