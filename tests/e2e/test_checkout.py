"""Changed code: what means the same runs nothing, what means something else runs what depends on it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.installation import PURE, PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.mindspore]

CHECKOUT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "models", "infra", "data")


@pytest.fixture
def copy(made: Any, tmp_path: Path) -> Any:
    """A copy of the checkout that works on the same home, and a way to run its command."""
    for room in ROOMS:
        shutil.copytree(CHECKOUT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))

    class Copy:
        schedules = tmp_path / "models" / "training" / "schedules.py"

        def run(self, *arguments: Any) -> Any:
            finished = made.start([PYTHON, "-m", "flows.cli.main", *arguments], tmp_path, PYTHONPATH=str(tmp_path))
            assert finished.returncode == 0, finished.stderr
            return finished.stdout

        def states(self) -> Any:
            return {row["stage"]: row["state"] for row in json.loads(self.run("status", "--json"))}

    return Copy()


def edit(path: Any, before: Any, after: Any) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_the_same_code_elsewhere_finds_everything_fresh(copy: Any) -> None:
    assert set(copy.states().values()) == {"fresh"}


def test_comments_and_docstrings_run_no_pure_stage(made: Any, copy: Any) -> None:
    first_line = copy.schedules.read_text().splitlines()[0]
    edit(copy.schedules, first_line, f'# A remark.\n"""Another {first_line[3:]}')
    states = copy.states()
    assert {stage: states[stage] for stage in PURE} == dict.fromkeys(PURE, "fresh")
    assert states["upload"] == "stale"
    copy.run("run")
    outcomes = made.last_run()[1]
    assert {stage for stage, outcome in outcomes.items() if outcome == "ran"} == {"upload"}


def test_a_changed_line_runs_training_and_is_named(made: Any, copy: Any) -> None:
    with copy.schedules.open("a") as file:
        file.write("\n\nADDED = 1\n")
    assert "code models/training/schedules.py changed" in copy.run("why", "train")
    states = copy.states()
    assert states["download"] == "fresh"
    assert {states[stage] for stage in ("train", "evaluate", "export", "convert", "deploy")} == {"stale"}
    copy.run("run", "--to", "train")
    record, outcomes = made.last_run()
    assert outcomes["download"] == "reused"
    assert outcomes["train"] == "ran"
    assert record["stages"][-1]["reason"] == "code models/training/schedules.py changed"
    assert copy.states()["evaluate"] == "fresh", "the checkpoint came out the same, so nothing follows"
