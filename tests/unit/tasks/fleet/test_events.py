"""The JSON form of a rollout's log, which later versions must be able to read."""

import json

import pytest

from tasks.fleet.events import (
    BoardResult,
    Ended,
    Event,
    Outcome,
    Plan,
    Policy,
    Resumed,
    Returned,
    Started,
    event_to_json,
    events_from_json,
)

LOG = [
    {"event": "started", "board": "a", "time": 1.0},
    {"event": "ended", "board": "a", "time": 2.0, "outcome": "changed", "message": "3 files sent", "seconds": 1.5},
    {
        "event": "ended",
        "board": "b",
        "time": 3.0,
        "outcome": "failed",
        "message": "it does not answer",
        "hint": "is it up?",
        "exit_code": 5,
        "seconds": 0.5,
    },
    {"event": "resumed", "time": 4.0},
    {"event": "returned", "board": "a", "time": 5.0},
]
EVENTS: list[Event] = [
    Started("a", 1.0),
    Ended("a", 2.0, BoardResult(Outcome.CHANGED, "3 files sent", 1.5)),
    Ended("b", 3.0, BoardResult(Outcome.FAILED, "it does not answer", 0.5, "is it up?", 5)),
    Resumed(4.0),
    Returned("a", 5.0),
]


def test_a_log_is_read() -> None:
    assert events_from_json(LOG) == EVENTS


@pytest.mark.parametrize(("event", "line"), list(zip(EVENTS, LOG, strict=True)))
def test_an_event_is_written_in_this_form(event: Event, line: dict[str, object]) -> None:
    assert event_to_json(event) == line


def test_events_of_other_kinds_are_left_out() -> None:
    assert events_from_json([{"event": "something else", "time": 3}, LOG[0]]) == [Started("a", 1.0)]


def test_a_plan_survives_its_log() -> None:
    plan = Plan("r1", Policy((("a", "b"), ("c",)), 0.1, 5.0, "each", 3), 1.0)
    line = json.loads(json.dumps(plan.to_json()))
    assert line["event"] == "planned"
    assert Plan.from_json(line) == plan
