"""Event lines as `models/protocol.py` writes them, and lines that are not events."""

import pytest

from infra.errors import AtlasFlowError, UserError
from infra.local_training.protocol import Answer, ProgramError, ProgramEvent, Ready, parse
from infra.ports.training import Epoch, LogLine
from models import protocol as writer

EPOCH = {"epoch": 1, "epochs": 3, "loss": 2.0, "step_ms": 5.5, "images_per_second": 90.0}


@pytest.mark.parametrize(
    ("name", "values", "event"),
    [
        ("epoch", EPOCH, Epoch(1, 3, 2.0, 5.5, 90.0)),
        ("epoch", {**EPOCH, "accuracy": 0.5, "seconds": 1.0}, Epoch(1, 3, 2.0, 5.5, 90.0, 0.5)),
        ("error", {"kind": "user", "message": "m", "hint": "h"}, ProgramError(UserError, "m", "h")),
        ("error", {"kind": "new", "message": "m", "hint": ""}, ProgramError(AtlasFlowError, "m")),
        ("ready", {}, Ready()),
        ("answer", {"logits": [1, 2.5], "milliseconds": 0.5}, Answer((1.0, 2.5), 0.5)),
    ],
)
def test_each_event_is_read_as_it_is_written(
    capsys: pytest.CaptureFixture[str], name: str, values: dict[str, object], event: ProgramEvent
) -> None:
    writer.event(name, **values)
    assert parse(capsys.readouterr().out.rstrip("\n")) == event


@pytest.mark.parametrize(
    "line",
    [
        "text",
        "@atlasflow ",
        "@atlasflow []",
        "@atlasflow {",
        '@atlasflow {"a": 1}',
        '@atlasflow {"event": "epoch"}',
        '@atlasflow {"event": ["epoch"]}',
        '@atlasflow {"event": "progress", "done": 1, "total": 2}',
    ],
)
def test_other_lines_are_log_lines(line: str) -> None:
    assert parse(line) == LogLine(line)
