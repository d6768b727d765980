"""The other commands, and what a mistake is answered with."""

from typing import Any

import psutil
import pytest

from tests.e2e.conftest import assert_nothing_runs

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--set", "trian.epochs=3"), "did you mean 'train'?"),
        (("run", "--set", "train.epoch=3"), "did you mean 'epochs'?"),
        (("run", "--set", "evaluate.min_acuracy=0.1"), "did you mean 'min_accuracy'?"),
        (("run", "--set", "train.epochs=many"), "epochs"),
        (("run", "--set", "train.epochs"), "write --set section.key=value"),
        (("run", "--profile", "locl"), "local"),
        (("run", "--stage", "trian"), "train"),
        (("run", "--from", "deploy", "--to", "train"), "comes after"),
        (("run", "--stage", "train", "--from", "train"), "does not go with"),
        (("run", "--stage", "train", "--force", "export"), "is not among the stages to run"),
        (("why", "trian"), "train"),
        (("run", "--nonsense"), "--nonsense"),
        (("rnu",), "rnu"),
    ],
)
def test_a_mistake_is_named_and_ends_with_code_2(untouched: Any, arguments: Any, words: str) -> None:
    assert words in untouched.atlasflow(*arguments, code=2)


def test_a_mistake_in_the_environment_is_named(untouched: Any) -> None:
    said = untouched.atlasflow("status", code=2, ATLASFLOW_TRIAN__EPOCHS="3")
    assert "did you mean 'train'?" in said


def test_up_down_and_doctor_agree_and_a_second_run_needs_no_service(made: Any) -> None:
    made.atlasflow("up")
    assert "was up" in made.atlasflow("up")
    running = {name: state["pid"] for name, state in made.services().items()}
    assert set(running) == {"prefect", "objectstore", "board-laptop"}
    findings = {item["check"]: item for item in made.json("doctor")}
    assert findings["Python"]["level"] == "good"
    for state in made.services().values():
        assert state["title"] in findings
        assert state["address"] in findings[state["title"]]["found"]
    said = made.atlasflow("down")
    assert said.count(": stopped") == 3
    assert not any(psutil.pid_exists(pid) for pid in running.values())
    assert_nothing_runs(made)
    seen, _, printed = made.watched_run()
    assert seen == []
    assert "Everything is fresh" in printed
    assert_nothing_runs(made)
    assert "stopped" not in made.atlasflow("down")
    assert {item["check"]: item for item in made.json("doctor")}["local services"]["level"] == "note"
