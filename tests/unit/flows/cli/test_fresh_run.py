import json
import time
from pathlib import Path
from typing import Any

import pytest

from flows.cli import fresh_run, main
from flows.cli.fresh_run import FreshStage
from infra.store import proofs
from infra.store.artifacts import Artifact
from infra.store.receipts import Receipt

STAGE = FreshStage("upload", "a" * 64, finished=0.0, emulated=False, outputs=2, bytes=1_500_000)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.6, "60 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "120 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_a_span_of_time_in_one_unit(seconds: float, text: str) -> None:
    assert fresh_run.age(seconds) == text


def test_what_is_shown_of_a_receipt_survives_json() -> None:
    outputs = {name: Artifact(name, "0" * 64, size, "file", "text/plain") for name, size in (("a", 3), ("b", 4))}
    receipt = Receipt("train", "k", {"secret": "not shown"}, outputs, emulated=True, started=10.0, seconds=5.0)
    found = fresh_run.stage_of(receipt)
    assert found == FreshStage("train", "k", finished=15.0, emulated=True, outputs=2, bytes=7)
    assert FreshStage(*json.loads(json.dumps(found))) == found


@pytest.fixture
def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(time, "time", lambda: 1_000.0)

    def show(*stages: FreshStage) -> Any:
        fresh_run.show(stages, tmp_path)
        return capsys.readouterr().out

    return show


def test_a_row_says_how_old_it_is_and_how_much_there_is(shown: Any) -> None:
    said = shown(STAGE)
    assert "upload" in said
    assert "aaaaaaaaaaaa " in said
    assert "2 (1.5 MB)" in said
    assert "17 min ago" in said
    assert "proved" not in said
    assert "Everything is fresh" in said


def test_a_row_says_when_its_effect_was_last_proved(shown: Any, tmp_path: Path) -> None:
    proofs.note(tmp_path, "upload", STAGE.key, 990.0)
    assert "last proved 10 s ago" in shown(STAGE)
    assert "proved" not in shown(STAGE._replace(key="b" * 64))


def test_what_a_stand_in_made_is_marked(shown: Any) -> None:
    assert "(stand-in)" in shown(STAGE._replace(emulated=True))
    assert "(stand-in)" not in shown(STAGE)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command with its two ways out watched."""
    ways: list[Any] = []
    monkeypatch.setenv("ATLASFLOW_HOME", str(tmp_path))
    monkeypatch.setattr("flows.cli.app.main", lambda: ways.append("full"))
    monkeypatch.setattr("flows.cli.fresh_run.show", lambda *shown: ways.append(shown))
    return ways


@pytest.mark.parametrize(
    ("arguments", "remembered", "way"),
    [
        (["run"], {"stages": [STAGE], "facts": [("accuracy", "90 %")]}, "fresh"),
        (["run", "--to", "train"], {"stages": [STAGE], "facts": [("accuracy", "90 %")]}, "fresh"),
        (["run"], None, "full"),
        (["status"], {"stages": [STAGE], "facts": [("accuracy", "90 %")]}, "full"),
        ([], {"stages": [STAGE], "facts": [("accuracy", "90 %")]}, "full"),
    ],
)
def test_only_a_run_is_answered_from_memory(
    called: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: Any, remembered: Any, way: str
) -> None:
    asked = []

    def recall(home: Any, words: Any) -> Any:
        asked.append((home, words))
        return remembered

    monkeypatch.setattr("sys.argv", ["atlasflow", *arguments])
    monkeypatch.setattr("infra.store.fresh_cache.recall", recall)
    main.main()
    assert called == ([([STAGE], tmp_path, [("accuracy", "90 %")])] if way == "fresh" else ["full"])
    assert asked == ([(tmp_path, arguments[1:])] if arguments[:1] == ["run"] else [])
