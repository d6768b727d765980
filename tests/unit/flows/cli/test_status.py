import json
from typing import Any

import pytest

from flows.cli import status
from infra.errors import UserError
from infra.store.runs import Runs, StageRecord
from tasks.pipeline import EVERY_NAME, NAMES


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command printed, as JSON."""

    def call(function: Any, **options: Any) -> Any:
        function(as_json=True, **options)
        return json.loads(capsys.readouterr().out)

    return call


def states(rows: Any) -> Any:
    return {row["stage"]: row["state"] for row in rows}


def test_status_before_anything_ran(small: Any, told: Any) -> None:
    rows = told(status.status)
    assert states(rows) == dict.fromkeys(NAMES, "missing")
    assert [row["reason"] for row in rows[:2]] == ["never ran", "waits for download"]
    assert rows[1]["key"] is None
    assert rows[0]["outputs"] == []


def test_status_of_a_fresh_chain(small: Any, told: Any) -> None:
    small.make_all()
    rows = told(status.status)
    assert states(rows) == dict.fromkeys(NAMES, "fresh")
    assert [row["stage"] for row in rows if row["emulated"]] == ["convert", "publish", "deploy"]
    assert {"stage", "state", "key", "outputs", "emulated", "seconds", "finished"} <= set(rows[0])
    assert set(rows[0]["outputs"][0]) == {"name", "sha256", "size"}


def test_status_under_other_settings(small: Any, told: Any) -> None:
    small.make_all()
    rows = states(told(status.status, settings=["train.epochs=3"]))
    assert rows == dict.fromkeys(NAMES, "stale") | {"download": "fresh", "upload": "fresh"}


def failed(small: Any, chain: Any, key: Any) -> None:
    record = Runs(small.folder).begin("local")
    record.stages = [StageRecord("download", key, "failed", "the disk was full", 0.0)]
    Runs(small.folder).save(record)


def test_a_stage_whose_last_attempt_failed_says_so_until_its_key_changes(small: Any, told: Any) -> None:
    chain = small.chain()
    failed(small, chain, chain.look(chain.stages["download"]).key)
    row = told(status.status)[0]
    assert (row["state"], row["reason"]) == ("failed", "the disk was full")
    failed(small, chain, "another key")
    assert told(status.status)[0]["state"] == "missing"


def test_a_fresh_stage_is_fresh_whatever_failed_before(small: Any, told: Any) -> None:
    chain = small.make_all()
    failed(small, chain, chain.known["download"].key)
    assert told(status.status)[0]["state"] == "fresh"


def test_the_table_shows_a_stage_a_line(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    small.make_all()
    status.status()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(NAMES)
    assert "fresh (stand-in)" in lines[-1]


def test_an_optional_stage_is_shown_once_it_ran(small: Any, told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    small.make_all()
    assert "corrupt" not in states(told(status.status))
    chain = small.chain(selected=EVERY_NAME)
    for name in NAMES:
        chain.look(chain.stages[name])
    chain.run(chain.stages["corrupt"])
    assert states(told(status.status)) == {**dict.fromkeys(NAMES, "fresh"), "corrupt": "fresh"}
    status.why("robustness")
    assert capsys.readouterr().out == "robustness is missing\n  never ran\n"


def test_why_names_what_differs(small: Any, capsys: pytest.CaptureFixture[str], told: Any) -> None:
    small.make_all()
    status.why("train", settings=["train.epochs=3"])
    assert "train is stale\n  settings epochs: 30 → 3" in capsys.readouterr().out
    answer = told(status.why, stage="train", settings=["train.epochs=3"])
    assert answer["ingredients"]["settings"] == {"epochs": 3}
    assert answer["last_receipt"]["key"] != answer["key"]


def test_why_goes_back_to_where_it_begins(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    small.make_all()
    status.why("deploy", settings=["train.epochs=3"])
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines() if " is stale" in line] == list(reversed(NAMES[2:]))
    assert "settings epochs: 30 → 3" in shown


def test_why_of_no_stage_is_refused(small: Any) -> None:
    with pytest.raises(UserError, match="no stage 'trian'"):
        status.why("trian")
