"""Answers of a damaged or hostile board: they become printable, bounded values, or `Corrupt`."""

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.board import answers
from infra.board.classify import AgentAnswer
from infra.board.client import SshBoard
from infra.errors import AtlasFlowError, Corrupt
from infra.ports.upkeep import RollbackCause

SMOKE = {"images": 50, "agreement": 1.0, "max_difference": 0.001, "tolerance": 0.01, "milliseconds": 0.5}
DAY = {
    "class": [1, 2],
    "confidence": [0, 3],
    "red": [3],
    "green": [3],
    "blue": [3],
    "images": 3,
    "skipped": 1,
    "since": 1.0,
    "until": 2.0,
}
FACTS = {
    "soc_version": "Ascend310",
    "cann": "5.0.4",
    "architecture": "aarch64",
    "python": "3.6.9",
    "free_bytes": 1 << 30,
    "emulated": False,
    "npu": "310 OK",
    "devices": 1,
    "virtual": [],
    "modules": {"numpy": None, "acl": "No module named 'acl'"},
    "environment": "/usr/local/Ascend/set_env.sh",
    "user": "HwHiAiUser",
    "groups": ["HwHiAiUser"],
    "pillow": "5.1.0",
    "numpy": "1.19.5",
    "closed_devices": ["/dev/davinci0"],
}
STATE = {"active": "b", "previous": "a", "releases": ["a", "b"], "floor": 7}
JOURNAL: list[dict[str, Any]] = [
    {"event": "switch", "release": "b", "time": "2026-01-01T00:00:00Z", "smoke": SMOKE},
    {"event": "rollback", "release": "a", "time": "2026-01-01T00:00:00Z", "reason": "no", "cause": "watchdog"},
]
CLASSIFIED = {
    "picture": "/b/0.png",
    "top": [["cat", 0.5], ["dog", 0.25]],
    "numbers": [3, 5],
    "milliseconds": 2.0,
    "annotated": "/b/0.png",
}
GOOD: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "facts": (partial(answers.agent_facts, "porch"), FACTS),
    "state": (answers.state, STATE),
    "status": (answers.status, {**STATE, "probation": 8, "journal": JOURNAL}),
    "smoke": (answers.smoke, SMOKE),
    "observations": (answers.observations, {"release": "a", "days": [DAY, DAY]}),
    "prune": (answers.release_ids, ["a", "b"]),
    "picture": (AgentAnswer.from_json, CLASSIFIED),
    "no picture": (AgentAnswer.from_json, {"picture": "/b/0.png", "error": "OSError: /b/0.png is no picture"}),
}
JUNK: list[Any] = [
    None, True, -1, 1 << 80, math.nan, math.inf, 1e400, "", "..", "../../etc", "/etc/passwd", "\x1b]0;t\x07", "a\nb",
    "[red]bold[/]", "\u202egnp.exe", "x" * 5000, "\ud800", [], {}, ["../x"] * 3, [[[]]], {"class": []},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return changed


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*texts(key), *texts(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
    elif hasattr(value, "__dataclass_fields__"):
        yield from texts(asdict(value))


@pytest.mark.parametrize("name", GOOD)
def test_good_answers_are_read(name: str) -> None:
    reader, answer = GOOD[name]
    assert answers.read("porch", reader, json.loads(json.dumps(answer)))


@pytest.mark.parametrize("name", GOOD)
def test_any_value_may_be_wrong(name: str) -> None:
    """Each value of each answer, in turn, becomes each kind of junk."""
    reader, answer = GOOD[name]
    for path in places(answer):
        for junk in JUNK:
            try:
                value = answers.read("porch", reader, replaced(answer, path, junk))
            except Corrupt as error:
                shown = [error.message, error.hint]
            else:
                shown = list(texts(value))
            for text in shown:
                assert len(text) <= answers.MAX_TEXT + 200
                assert not set(text) & set("\n\x1b\x07\u202e\ud800"), (path, junk)


@pytest.mark.parametrize("seed", range(50))
def test_values_may_be_missing_or_of_another_answer(seed: int) -> None:
    dice = random.Random(seed)
    reader, answer = dice.choice(list(GOOD.values()))
    for _ in range(dice.randint(1, 4)):
        path = dice.choice(list(places(answer)))
        answer = replaced(answer, path, dice.choice([*JUNK, *(good for _, good in GOOD.values())]))
    try:
        answers.read("porch", reader, answer)
    except Corrupt as error:
        assert error.message.startswith("board porch gave an unusable answer: ")


@pytest.mark.parametrize("release", ["../../secrets", "/etc", "a/b", "", ".", "a\n"])
def test_ids_that_are_paths_are_refused(release: str) -> None:
    """An id names a folder in this installation's fleet."""
    for reader, answer in (
        (answers.state, {**STATE, "active": release}),
        (answers.state, {**STATE, "releases": [release]}),
        (answers.observations, {"release": release, "days": [DAY]}),
        (answers.release_ids, [release]),
    ):
        with pytest.raises(Corrupt, match="cannot name a release"):
            answers.read("porch", reader, answer)


def test_facts_have_no_markup() -> None:
    facts = answers.agent_facts("porch", {**FACTS, "cann": "[5](http://evil) | `x`", "npu": "<script>"})
    assert facts.board.cann == "?5?(http://evil) ? ?x?"
    assert facts.board.npu == "?script?"


def test_a_journal_line_that_cannot_be_read_is_left_out() -> None:
    journal = [{"event": "switch"}, 7, *JOURNAL, {**JOURNAL[1], "cause": "else"}]
    status = answers.status({**STATE, "probation": 0, "journal": journal})
    assert [entry.event for entry in status.journal] == ["switch", "rollback", "rollback"]


@pytest.mark.parametrize(("reason", "cause"), [("asked for", RollbackCause.OPERATOR), ("no", RollbackCause.WATCHDOG)])
def test_journals_from_before_causes(reason: str, cause: RollbackCause) -> None:
    entry = {"event": "rollback", "release": "a", "time": "", "reason": reason}
    assert answers.status({**STATE, "probation": 0, "journal": [entry]}).journal[0].cause is cause


def test_days_with_different_bins_are_refused() -> None:
    with pytest.raises(Corrupt, match="same bins"):
        answers.read("porch", answers.observations, {"release": "a", "days": [DAY, {**DAY, "red": [1, 2]}]})


GREETING = r"printf '{\"atlasflow\": 1}\n'; read line; "


@pytest.mark.parametrize(
    "line",
    [
        r"printf 'no json\n'",
        r"printf '[]\n'",
        r"printf '{\"ok\": true}\n'",
        r"printf '{\"ok\": false, \"kind\": \"x\", \"message\": 1}\n'",
        r"printf '{\"ok\": false, \"kind\": 4, \"message\": \"\\u001b[2J\\u202e\", \"hint\": \"a\\nb\"}\n'",
        r"head -c 100000 /dev/zero | tr '\\0' '['; printf '\n'",
        r"head -c 5000000 /dev/zero | tr '\\0' 'x'; sleep 30",
    ],
    ids=["text", "list", "no value", "other types", "escapes", "deep", "endless"],
)
def test_a_board_that_talks_nonsense(stand_in: Any, tmp_path: Path, line: str) -> None:
    """Whatever the helper's process writes ends in an error that can be shown."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nread boot\n{GREETING}{line}\n".replace(r"\"", '"'))
    program.chmod(0o755)
    board = SshBoard("laptop", stand_in.settings.model_copy(update={"python": str(program)}))
    with pytest.raises(AtlasFlowError) as caught:
        board.state()
    for text in (caught.value.message, caught.value.hint):
        assert text.isprintable()
