"""The summary of what a board sees: small, whole, and of one release."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from infra.board.agent import observations
from infra.board.agent.counts import add, count, none
from infra.board.agent.observations import DAYS, Recorder, read


def recorded(path: str) -> dict[str, Any]:
    found = read(path)
    assert found is not None
    return found


ANSWER = (3, 0.42, [0.0, 127.6, 255.0])


def test_an_image_is_counted_in_a_bin_of_each_quantity() -> None:
    counts = none(4)
    count(counts, 3, 1.0, [0.0, 25.4, 255.0])
    count(counts, 3, 0.99, [25.5, 127.5, 300.0])
    assert counts["class"] == [0, 0, 0, 2]
    assert counts["confidence"] == [0] * 9 + [2]
    assert counts["red"][:2] == [1, 1]
    assert (counts["green"][0], counts["green"][5]) == (1, 1)
    assert counts["blue"][9] == 2
    add(counts, counts)
    assert counts["class"] == [0, 0, 0, 4]


def test_counts_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    for expected in (1, 2):
        watching = Recorder(str(path), "first", 10)
        watching.add(*ANSWER)
        watching.skip()
        watching.flush()
        watching.flush()  # there is nothing more to write
        (day,) = recorded(str(path))["days"]
        assert (day["images"], day["skipped"], day["class"][3], day["confidence"][4]) == (expected,) * 4
    assert day["since"] <= day["until"]


def test_a_new_release_begins_anew_and_the_old_ones_program_adds_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "seen.json")
    old = Recorder(path, "first", 10)
    old.add(*ANSWER)
    old.flush()
    Recorder(path, "second", 10)
    old.add(*ANSWER)
    old.flush()
    said = recorded(path)
    assert (said["release"], said["days"][-1]["images"]) == ("second", 0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 2, "release": "first", "days": [{}]}', '{"schema": 1}'])
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seen.json"
    path.write_text(content)
    assert read(str(path)) is None
    watching = Recorder(str(path), "first", 10)
    path.write_text(content)  # while it watches, too
    watching.add(*ANSWER)
    watching.flush()
    assert recorded(str(path))["days"][0]["images"] == 1


def test_other_classes_begin_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "seen.json")
    Recorder(path, "first", 10)
    Recorder(path, "first", 4)
    assert len(recorded(path)["days"][0]["class"]) == 4


def test_it_stays_small_however_long_a_board_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1.7e9]
    monkeypatch.setattr("infra.board.agent.observations.time.time", lambda: now[0])
    path = tmp_path / "seen.json"
    watching = Recorder(str(path), "first", 10)
    sizes = []
    for day in range(3 * DAYS):
        for _ in range(day + 1):
            watching.add(*ANSWER)
        watching.flush()
        sizes.append(path.stat().st_size)
        now[0] += 86_400
    days = recorded(str(path))["days"]
    assert [item["images"] for item in days] == list(range(2 * DAYS + 1, 3 * DAYS + 1))
    assert max(sizes) < 6000


def test_it_is_written_at_most_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("infra.board.agent.observations.time.monotonic", lambda: clock[0])
    path = str(tmp_path / "seen.json")
    watching = Recorder(path, "first", 10)
    watching.add(*ANSWER)
    watching.flush_when_due()
    assert recorded(path)["days"][0]["images"] == 0
    clock[0] += observations.SECONDS
    watching.flush_when_due()
    assert recorded(path)["days"][0]["images"] == 1


def test_a_full_disk_leaves_the_summary_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "seen.json")
    watching = Recorder(path, "first", 10)
    watching.add(*ANSWER)
    watching.flush()

    def full(_descriptor: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("infra.board.agent.files.os.fsync", full)
    watching.add(*ANSWER)
    with pytest.raises(OSError, match="No space"):
        watching.flush()
    assert recorded(path)["days"][0]["images"] == 1
    monkeypatch.undo()
    watching.flush()
    assert recorded(path)["days"][0]["images"] == 2


def _see(path: Any) -> None:
    for _ in range(20):
        watching = Recorder(path, "first", 10)
        watching.add(*ANSWER)
        watching.flush()


@pytest.mark.program
def test_two_programs_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = str(tmp_path / "seen.json")
    context = multiprocessing.get_context("spawn")
    programs = [context.Process(target=_see, args=(path,)) for _ in range(2)]
    for program in programs:
        program.start()
    for program in programs:
        program.join(60)
    assert [program.exitcode for program in programs] == [0, 0]
    assert json.loads((tmp_path / "seen.json").read_text())["days"][0]["images"] == 40
