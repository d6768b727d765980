"""A rollout that is over needs no server: nothing is left to resume, and nothing to take back."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.cli.boards import rollout
from tasks.fleet.state import Halt, Phase


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A rollout whose waves are over and that has changed nothing."""
    state = SimpleNamespace(next=lambda now: Halt(Phase.DONE, "every wave is over"), policy=SimpleNamespace(waves=[[]]))
    opened = SimpleNamespace(id="r1", release="a", rollout=state)
    monkeypatch.setattr(rollout, "chain_of", lambda *_: SimpleNamespace(home=None, world=None))
    monkeypatch.setattr(rollout, "Fleet", lambda home: SimpleNamespace(carrying_out=nullcontext))
    monkeypatch.setattr(rollout, "reopen", lambda fleet, identifier: opened)
    monkeypatch.setattr(rollout, "undo_rollout", lambda *_: [])
    monkeypatch.setattr(rollout, "_run_flow", lambda *_: pytest.fail("something was started"))


@pytest.mark.parametrize(
    ("word", "said"), [("resume", "rollout r1 is over: every wave is over"), ("undo", "has no board to take back")]
)
def test_what_is_over_is_said(over: None, word: str, said: str) -> None:
    done = CliRunner().invoke(app.app, ["boards", "rollout", word])
    assert (done.exit_code, said in done.stdout) == (0, True)
