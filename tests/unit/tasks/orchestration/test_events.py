from types import SimpleNamespace
from typing import Any

import pytest

from infra.errors import GateFailed, Transient
from infra.ports.upkeep import BoardStatus, JournalEntry, RollbackCause
from tasks.orchestration import events, prefect_task
from tests.unit.tasks.doubles import Lines

SWITCH = JournalEntry("switch", "r2", "")
ROLLBACK = JournalEntry("rollback", "r1", "", "the live images fail", RollbackCause.WATCHDOG)
GAVE_UP = BoardStatus("r1", "r2", ("r1", "r2"), 0, (SWITCH, ROLLBACK))
FINE = BoardStatus("r2", "r1", ("r1", "r2"), 0, (SWITCH,))


class Away:
    def status(self) -> None:
        raise Transient("no route")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = []
    monkeypatch.setattr(events, "emit_event", lambda event, resource, payload: found.append((event, resource, payload)))
    return found


def chain(**boards: Any) -> Any:
    """A chain whose boards were given release r2."""
    world = SimpleNamespace(
        fleet=lambda: SimpleNamespace(wanted=lambda: dict.fromkeys(boards, "r2")),
        board=lambda name: boards[name],
    )
    deploy = SimpleNamespace(boards=tuple(boards))
    return SimpleNamespace(world=world, reporter=Lines(), settings=SimpleNamespace(deploy=deploy))


def answering(status: Any) -> Any:
    return SimpleNamespace(status=lambda: status)


def test_boards_that_gave_their_release_up_are_told_of_and_others_are_not(told: Any) -> None:
    found = chain(roof=answering(GAVE_UP), porch=answering(FINE), shed=Away())
    events.report_fallen_boards(found, ("roof", "porch", "shed", "new"))
    [(event, resource, payload)] = told
    assert event == events.FELL_BACK == "atlasflow.board.fell-back"
    assert resource == {"prefect.resource.id": "atlasflow.board.roof", "prefect.resource.name": "board roof"}
    assert payload == {"board": "roof", "release": "r2", "reason": "the live images fail"}
    assert found.reporter.lines == ["board shed was not asked whether it fell back: no route"]


@pytest.mark.parametrize(
    ("stage", "error", "boards"),
    [
        ("deploy", GateFailed("3 of 50 images differ", hint="release r1 stays in service", board="roof"), ["roof"]),
        ("deploy", Transient("no route", board="roof"), []),
        ("evaluate", GateFailed("no", board="roof"), []),
    ],
)
def test_a_smoke_test_that_failed_is_told_of(told: Any, stage: str, error: Any, boards: Any) -> None:
    with (
        pytest.raises(type(error)),
        prefect_task._reporting_fallbacks(chain(roof=Away(), porch=Away()), stage),
    ):
        raise error
    assert [payload["board"] for _, _, payload in told] == boards
