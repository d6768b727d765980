"""`atlasflow jobs orphans`: listing, stopping, and jobs that cannot be stopped."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli.jobs import handle_orphans
from infra.errors import Refused


class FakeTrainer:
    """Has three orphans, one of another installation; the platform refuses to stop the first."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    def orphans(self, *, everywhere: bool) -> list[SimpleNamespace]:
        names = ["a", "b", "c"] if everywhere else ["a", "b"]
        return [SimpleNamespace(name=name, id=name * 3, phase="Running") for name in names]

    def stop(self, name: str) -> None:
        if name == "a":
            raise Refused("no right to stop it", hint="ask for it")
        self.stopped.append(name)


def run(trainer: Any, *, stop: bool, everywhere: bool = False, as_json: bool = False) -> None:
    handle_orphans(trainer, stop=stop, everywhere=everywhere, as_json=as_json)


def test_orphans_are_listed_and_not_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = FakeTrainer()
    run(trainer, stop=False)
    assert "2 jobs found; --stop ends them" in capsys.readouterr().out
    assert trainer.stopped == []


@pytest.mark.parametrize(("everywhere", "stopped"), [(False, ["b"]), (True, ["b", "c"])])
def test_a_job_that_cannot_be_stopped_does_not_keep_the_others_running(
    capsys: pytest.CaptureFixture[str], everywhere: bool, stopped: list[str]
) -> None:
    trainer = FakeTrainer()
    with pytest.raises(Refused, match="a: no right to stop it") as caught:
        run(trainer, stop=True, everywhere=everywhere, as_json=True)
    assert caught.value.hint == "ask for it"
    assert trainer.stopped == stopped
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["stopped"] for row in rows} == {"a": False, **dict.fromkeys(stopped, True)}
