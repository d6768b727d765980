from typing import Any

import pytest

from tasks.engine.diff import brief, differences

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"settings": {"epochs": 30}}, {"settings": {"epochs": 3}}, ["settings epochs: 30 → 3"]),
        ({"code": {"models/x.py": "1"}}, {"code": {"models/x.py": "2"}}, ["code models/x.py changed"]),
        ({"code": {}}, {"code": {"models/x.py": DIGEST}}, ["code models/x.py is new: 0123456789ab"]),
        ({"code": {"models/x.py": DIGEST}}, {"code": {}}, ["code models/x.py is gone (was 0123456789ab)"]),
        (
            {"inputs": {"data": DIGEST}},
            {"inputs": {"data": DIGEST[::-1]}},
            ["inputs data: 0123456789ab → fedcba987654"],
        ),
        ({"producer": None}, {"producer": {"name": "atc"}}, ["producer name is new: atc"]),
        ({"emulated": False}, {"emulated": True}, ["emulated: False → True"]),
        ({"settings": {"formats": ["onnx"]}}, {"settings": {"formats": []}}, ["settings formats: ['onnx'] → []"]),
    ],
)
def test_each_ingredient_that_differs_is_a_line(before: Any, now: Any, lines: Any) -> None:
    assert [str(item) for item in differences(before, now)] == lines


def test_deeper_values_are_named_by_their_path() -> None:
    before, now = ({"settings": {"stem": {"kernel": size}}} for size in (3, 7))
    assert [str(item) for item in differences(before, now)] == ["settings stem kernel: 3 → 7"]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("", ""),
        ("never ran", "never ran"),
        ("code a changed; code b changed; tools numpy: 1 → 2", "code a changed and 2 more"),
        ("the disk is full\n  → free some space", "the disk is full"),
    ],
)
def test_a_brief_reason_is_one_short_line(reason: str, text: str) -> None:
    assert brief(reason) == text
