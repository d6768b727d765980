import json

import pytest

from infra.errors import UserError
from infra.local_training.protocol import ProgramError
from infra.modelarts.watch import LogReader
from tests.unit.infra.local_training.doubles import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def reader(recorder: Recorder) -> LogReader:
    return LogReader(recorder)


def test_a_growing_log_is_reported_once_in_whole_lines(reader: LogReader, recorder: Recorder) -> None:
    data = "one\ntwo\nthrée\nfour".encode()
    for end in range(1, len(data) + 1):
        content = data[:end].decode(errors="ignore")
        reader.feed(content, len(content.encode()))
    assert recorder.log == ["one", "two", "thrée"]
    reader.close()
    assert recorder.log == ["one", "two", "thrée", "four"]


def test_a_gap_is_reported_when_the_preview_shows_only_the_end(reader: LogReader, recorder: Recorder) -> None:
    reader.feed("a\nb\n", 4)
    reader.feed("y\nz\n", 1000)
    assert recorder.log[:2] == ["a", "b"]
    assert "skipped" in recorder.log[2]
    assert recorder.log[3:] == ["y", "z"]


def test_a_restarted_job_begins_a_new_log(reader: LogReader, recorder: Recorder) -> None:
    reader.feed("first\nsecond\n", 13)
    reader.feed("again\n", 6)
    assert recorder.log == ["first", "second", "again"]


def test_the_last_error_event_is_kept(reader: LogReader) -> None:
    event = {"event": "error", "kind": "user", "message": "m", "hint": "h"}
    text = f"@atlasflow {json.dumps(event)}\nTraceback\n"
    reader.feed(text, len(text))
    assert reader.error == ProgramError(UserError, "m", "h")
