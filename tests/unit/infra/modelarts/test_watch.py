import json

import pytest

from infra.modelarts.watch import LogReader


@pytest.fixture
def reader():
    lines = []
    found = LogReader(lines.append)
    found.lines = lines
    return found


def test_a_growing_log_is_told_once_in_whole_lines(reader):
    log = "one\ntwo\nthrée\nfour"
    data = log.encode()
    for end in range(1, len(data) + 1):
        reader.take(data[:end].decode(errors="ignore"), len(data[:end].decode(errors="ignore").encode()))
    assert reader.lines == ["one", "two", "thrée"]
    reader.close()
    assert reader.lines == ["one", "two", "thrée", "four"]


def test_only_the_end_is_shown_and_a_gap_is_admitted(reader):
    reader.take("a\nb\n", 4)
    reader.take("y\nz\n", 1000)
    assert reader.lines[:2] == ["a", "b"]
    assert "unseen" in reader.lines[2]
    assert reader.lines[3:] == ["y", "z"]


def test_a_restarted_job_begins_a_new_log(reader):
    reader.take("first\nsecond\n", 13)
    reader.take("again\n", 6)
    assert reader.lines == ["first", "second", "again"]


def test_the_last_error_event_is_kept(reader):
    event = {"event": "error", "kind": "user", "message": "m", "hint": "h"}
    text = f"@atlasflow {json.dumps(event)}\nTraceback\n"
    reader.take(text, len(text))
    assert reader.error == event
