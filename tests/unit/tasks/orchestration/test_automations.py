from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.events.actions import CallWebhook
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import RelatedResource, Resource

from flows.server import receivers
from infra.settings import load
from tasks.orchestration import automations
from tasks.orchestration.automations import CRASH, FAILURE, FALLBACK, PROMOTION, TAKE_UP, wanted

BLOCK = uuid4()
OURS = ("train", "retrain")


class Server:
    """The automations that a Prefect server would have."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def read_automations(self, *, limit: Any) -> Any:
        return list(self.kept[:limit])

    def create_automation(self, wish: Any) -> None:
        # As the server does, it gives the trigger an id of its own, which a client's model leaves out.
        self.kept.append(
            SimpleNamespace(id=uuid4(), **{name: getattr(wish, name) for name in ("name", "tags")}, wish=wish)
        )

    def update_automation(self, identifier: Any, wish: Any) -> None:
        next(found for found in self.kept if found.id == identifier).wish = wish

    def delete_automation(self, identifier: Any) -> None:
        self.kept = [found for found in self.kept if found.id != identifier]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> "Server":
    real: Callable[[Any], Any] = automations._values
    monkeypatch.setattr(automations, "_values", lambda found: real(getattr(found, "wish", found)))
    return Server()


def names(server: Any) -> Any:
    return sorted(found.name for found in server.kept)


def settings(**notify: Any) -> Any:
    return load(overrides={f"notify.{name}": value for name, value in notify.items()})


def test_without_anybody_to_tell_runs_still_crash() -> None:
    found = [item.name for item in wanted(settings(), None, OURS)]
    assert CRASH in found
    assert not {FAILURE, PROMOTION, FALLBACK} & set(found)


def test_each_kind_has_its_automation() -> None:
    told = {item.name for item in wanted(settings(), BLOCK, OURS)}
    assert told >= {CRASH, FAILURE, PROMOTION, FALLBACK}
    assert {item.name for item in wanted(settings(kinds='["fallback"]'), BLOCK, OURS)} & {FAILURE, FALLBACK} == {
        FALLBACK
    }


def test_a_call_is_json_whatever_a_run_is_named() -> None:
    (failure,) = (item for item in wanted(settings(), BLOCK, OURS) if item.name == FAILURE)
    (call,) = failure.actions
    assert isinstance(call, CallWebhook)
    assert call.payload is not None
    assert call.block_document_id == BLOCK
    assert call.payload.startswith('{"kind": "failure", "event": {{ event.id | string | tojson }}, "name": {{')
    assert call.payload.count("| tojson }}") == 5


def test_doing_it_twice_is_doing_it_once_and_a_change_changes_no_id(server: Any) -> None:
    first = wanted(settings(), BLOCK, OURS)
    assert automations._reconcile(server, first) == len(first)
    before = {found.name: found.id for found in server.kept}
    assert automations._reconcile(server, wanted(settings(), BLOCK, OURS)) == 0
    patient = wanted(load(overrides={"prefect.crashed_seconds": "300"}), BLOCK, OURS)
    assert automations._reconcile(server, patient) == 1
    assert {found.name: found.id for found in server.kept} == before
    assert automations._reconcile(server, patient) == 0


def test_doubles_and_what_is_not_wanted_any_more_go_and_what_is_not_ours_stays(server: Any) -> None:
    server.create_automation(SimpleNamespace(name="somebody's", tags=["theirs"]))
    automations._reconcile(server, wanted(settings(), BLOCK, OURS))
    (crash,) = (item for item in wanted(settings(), None, OURS) if item.name == CRASH)
    server.create_automation(crash)
    automations._reconcile(server, wanted(settings(), None, OURS))
    assert names(server) == sorted([*(item.name for item in wanted(settings(), None, OURS)), "somebody's"])


def test_who_is_told_is_said() -> None:
    assert receivers(settings()).startswith("nobody")
    mail = settings(mail_host="smtp.example", mail_to='["a@b.example"]', kinds='["failure"]')
    assert receivers(mail) == "failure by mail"


def test_without_a_channel_here_the_notifications_of_another_machine_stay(server: Any) -> None:
    automations._reconcile(server, wanted(settings(), BLOCK, OURS))
    before = {found.name: found.id for found in server.kept}
    assert automations._reconcile(server, wanted(settings(), None, OURS), spared=automations.NOTIFICATIONS) == 0
    assert {found.name: found.id for found in server.kept} == before


@pytest.mark.parametrize("name", [CRASH, TAKE_UP, FAILURE])
def test_runs_of_others_on_the_same_server_are_left_alone(name: Any) -> None:
    """As Prefect's own server matches them."""
    (automation,) = (item for item in wanted(settings(), BLOCK, OURS) if item.name == name)
    trigger = EventTrigger.model_validate(automation.trigger.model_dump(mode="json"))

    def covered(flow: Any, deployment: Any) -> Any:
        names = {"flow": flow, "deployment": deployment, "work-pool": "train"}
        related = [
            RelatedResource(
                {
                    "prefect.resource.id": f"prefect.{role}.{uuid4()}",
                    "prefect.resource.role": role,
                    "prefect.resource.name": called,
                }
            )
            for role, called in names.items()
        ]
        run = Resource({"prefect.resource.id": f"prefect.flow-run.{uuid4()}", "prefect.run-count": "1"})
        return trigger.covers_resources(run, related)

    assert covered("train", "train")
    assert covered("retrain", "retrain")
    assert not covered("training of theirs", "training of theirs")
    assert not covered("theirs", "default")
