from types import SimpleNamespace
from uuid import uuid4

import pytest

from flows.preparing import told_by
from infra.settings import load
from tasks import automations
from tasks.automations import CRASH, FAILURE, FALLBACK, PROMOTION, wanted

BLOCK = uuid4()


class Server:
    """The automations that a Prefect server would have."""

    def __init__(self):
        self.kept = []

    def read_automations(self, *, limit):
        return list(self.kept[:limit])

    def create_automation(self, wish):
        # As the server does, it gives the trigger an id of its own, which a client's model leaves out.
        self.kept.append(
            SimpleNamespace(id=uuid4(), **{name: getattr(wish, name) for name in ("name", "tags")}, wish=wish)
        )

    def update_automation(self, identifier, wish):
        next(found for found in self.kept if found.id == identifier).wish = wish

    def delete_automation(self, identifier):
        self.kept = [found for found in self.kept if found.id != identifier]


@pytest.fixture
def server(monkeypatch):
    real = automations._values
    monkeypatch.setattr(automations, "_values", lambda found: real(getattr(found, "wish", found)))
    return Server()


def names(server):
    return sorted(found.name for found in server.kept)


def settings(**notify):
    return load(overrides={f"notify.{name}": value for name, value in notify.items()})


def test_without_anybody_to_tell_runs_still_crash():
    found = [item.name for item in wanted(settings(), None)]
    assert CRASH in found
    assert not {FAILURE, PROMOTION, FALLBACK} & set(found)


def test_each_kind_has_its_automation():
    told = {item.name for item in wanted(settings(), BLOCK)}
    assert told >= {CRASH, FAILURE, PROMOTION, FALLBACK}
    assert {item.name for item in wanted(settings(kinds='["fallback"]'), BLOCK)} & {FAILURE, FALLBACK} == {FALLBACK}


def test_a_call_is_json_whatever_a_run_is_named():
    (failure,) = (item for item in wanted(settings(), BLOCK) if item.name == FAILURE)
    (call,) = failure.actions
    assert call.block_document_id == BLOCK
    assert call.payload.startswith('{"kind": "failure", "name": {{')
    assert call.payload.count("| tojson }}") == 4


def test_doing_it_twice_is_doing_it_once_and_a_change_changes_no_id(server):
    first = wanted(settings(), BLOCK)
    assert automations._reconcile(server, first) == len(first)
    before = {found.name: found.id for found in server.kept}
    assert automations._reconcile(server, wanted(settings(), BLOCK)) == 0
    patient = wanted(load(overrides={"prefect.crashed_seconds": "300"}), BLOCK)
    assert automations._reconcile(server, patient) == 1
    assert {found.name: found.id for found in server.kept} == before
    assert automations._reconcile(server, patient) == 0


def test_doubles_and_what_is_not_wanted_any_more_go_and_what_is_not_ours_stays(server):
    server.create_automation(SimpleNamespace(name="somebody's", tags=["theirs"]))
    automations._reconcile(server, wanted(settings(), BLOCK))
    (crash,) = (item for item in wanted(settings(), None) if item.name == CRASH)
    server.create_automation(crash)
    automations._reconcile(server, wanted(settings(), None))
    assert names(server) == sorted([*(item.name for item in wanted(settings(), None)), "somebody's"])


def test_who_is_told_is_said():
    assert told_by(settings()).startswith("nobody")
    mail = settings(mail_host="smtp.example", mail_to='["a@b.example"]', kinds='["failure"]')
    assert told_by(mail) == "failure by mail"
