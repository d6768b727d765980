"""`atlasflow jobs orphans`: what it stops, and what it says of those that it cannot."""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from flows.cli import jobs
from infra.errors import Refused


class Trainer:
    """Knows three orphans, one of another installation; stopping the first is refused."""

    def __init__(self):
        self.stopped = []

    def orphans(self, *, everywhere):
        names = ["a", "b", "c"] if everywhere else ["a", "b"]
        return [SimpleNamespace(name=name, id=name * 3, phase="Running") for name in names]

    def stop(self, name):
        if name == "a":
            raise Refused("no right to stop it", hint="ask for it")
        self.stopped.append(name)


@pytest.fixture
def trainer(monkeypatch):
    made = Trainer()
    monkeypatch.setattr(jobs, "_trainer", lambda _profile, _settings: made)
    return made


def test_they_are_listed_and_left_alone(trainer):
    done = CliRunner().invoke(jobs.jobs, ["orphans"])
    assert "2 jobs found; --stop ends them" in done.output
    assert trainer.stopped == []


@pytest.mark.parametrize(("options", "stopped"), [(["--stop"], ["b"]), (["--stop", "--everywhere"], ["b", "c"])])
def test_one_that_cannot_be_stopped_does_not_save_the_others(trainer, options, stopped):
    done = CliRunner().invoke(jobs.jobs, ["orphans", *options, "--json"])
    assert trainer.stopped == stopped
    assert {row["name"]: row["stopped"] for row in json.loads(done.stdout)} == {
        "a": False,
        **dict.fromkeys(stopped, True),
    }
    assert isinstance(done.exception, Refused)
    assert "a: no right to stop it" in done.exception.message
