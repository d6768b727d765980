"""The order of a retraining without a Prefect server: the registry is real, stages and boards are counted."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from flows.cli import retrain as command
from flows.requests import DemoteRequest, RetrainRequest
from flows.retrain import flow as module
from flows.retrain.promotion import Approval
from infra.champions import Registry
from infra.errors import GateFailed, Refused, UserError
from infra.fleet import Fleet
from infra.settings import load
from infra.store.locks import hold
from infra.store.runs import Runs
from tasks.engine.gates import Decision
from tasks.retrain.reasons import Training
from tasks.retrain.report import Challenge
from tests.unit.infra.champions import champion

SAME = {"settings": {"epochs": 30, "seed": 1}, "code": {}, "inputs": {"data": "d"}}
CHANGED = SAME | {"inputs": {"data": "e"}}


class Site:
    """What a retraining finds, and what it did, in order."""

    def __init__(self, home):
        self.home = home
        self.did = []
        self.reports = []
        self.training = Training(CHANGED, ("k",), False)
        self.gate = Decision(True, "it is better", {})
        self.answer = None
        self.stop = None
        self.meanwhile = None
        self.gone = ()
        self.registry = Registry(home)

    def open_chain(self, profile, overrides, reporter):
        return SimpleNamespace(settings=load(profile, overrides), home=self.home)

    def hold_challenge(self, chain, request, history, challenge, record, teller):
        self.did.append("challenge")
        challenge.checkpoint = "checkpoint of b"
        challenge.gates.append(("McNemar's test", self.gate))
        if self.meanwhile:
            self.meanwhile()
        return chain

    def tell_boards(self, chain, registry, model, target, teller, *, on_stop):
        self.did.append(f"tell {model.release} {on_stop}")
        if self.stop:
            raise self.stop
        registry.told(model.release)

    def release_folder(self, chain, model):
        if model.release in self.gone:
            raise UserError(f"the receipt of publish of release {model.release} is not here any more")
        return self.home / model.release

    def approval(self, release, report, hours):
        self.did.append("ask")
        return self.answer

    def run(self, **request):
        return module.retrain.fn(RetrainRequest(**request))

    def champions(self, *releases, pending=False):
        for before, release in zip(("", *releases), releases, strict=False):
            self.registry.promote(
                champion(release, when=time.time()), [f"train {release}"], over=before, pending=pending
            )


@pytest.fixture
def site(tmp_path, monkeypatch):
    found = Site(tmp_path / "home")
    doubles = {
        "open_chain": found.open_chain,
        "registry_of": lambda chain: found.registry,
        "run_one": lambda chain, name, record, **_: found.did.append(name),
        "training_of": lambda chain, seeds: found.training,
        "trained_by": lambda chain, model: SimpleNamespace(ingredients=SAME),
        "hold_challenge": found.hold_challenge,
        "as_champion": lambda chain, who, why: champion("b", who=who, why=why),
        "approval": found.approval,
        "tell_boards": found.tell_boards,
        "release_folder": found.release_folder,
        "release_for_boards": found.release_folder,
        "announce": lambda kind, about, now, who, why: found.did.append(f"{kind} {about.release}"),
        "create_markdown_artifact": lambda text, key, description: found.reports.append(text),
        "FlowReporter": lambda inner: inner,
    }
    for name, double in doubles.items():
        monkeypatch.setattr(module, name, double)
    monkeypatch.setattr(module.run_report, "publish", lambda chain, record: found.did.append("report"))
    return found


@pytest.mark.parametrize("waves", ['["abc"]', '["0"]', '["150%"]'])
def test_waves_that_are_none_are_refused_before_anything_is_trained_or_demoted(site, waves):
    with pytest.raises(UserError, match="is not the size of a wave"):
        site.run(settings={"retrain.waves": waves})
    site.champions("a", "b")
    with pytest.raises(UserError, match="is not the size of a wave"):
        module.demote.fn(DemoteRequest(settings={"retrain.waves": waves}))
    assert site.did == []
    assert site.registry.read().champion.release == "b"


def test_a_second_retraining_waits_for_the_first_and_then_looks(site, monkeypatch):
    """Boards that the first one is just telling would be told twice, and the second rollout is refused."""
    said, waits = [], threading.Event()

    def line(_stage, text):
        said.append(text)
        waits.set()

    monkeypatch.setattr(module, "FlowReporter", lambda inner: SimpleNamespace(line=line))
    with ThreadPoolExecutor(1) as pool, hold(site.home / "locks" / "retrain"):
        site.champions("a", pending=True)
        second = pool.submit(site.run)
        assert waits.wait(10)
        assert said == ["another retraining is under way here; waiting for its end"]
        assert site.did == []
        site.registry.told("a")
        site.training = Training(SAME, ("k",), False)
    assert second.result().name == "Nothing to do"
    assert site.did == ["download"]


def test_the_first_challenger_becomes_champion_and_the_boards_are_told(site):
    state = site.run(who="Ada")
    assert state.name == "Promoted"
    assert site.did == ["download", "challenge", "report", "promoted b", "tell b fleet"]
    known = site.registry.read()
    assert (known.champion.release, known.champion.who, known.pending) == ("b", "Ada", False)
    assert known.champion.why == "there is no champion yet; it is better"
    assert site.reports[0].startswith("# Promoted\n\nrelease b is champion")
    assert Runs(site.home).count() == 1


def test_without_a_reason_nothing_is_trained(site):
    site.champions("a")
    site.training = Training(SAME, ("k",), False)
    state = site.run()
    assert (state.type.value, state.name) == ("COMPLETED", "Nothing to do")
    assert site.did == ["download"]
    assert "champion's own" in site.reports[0]
    assert len(site.registry.read().history) == 1


def test_a_challenger_that_a_gate_refuses_is_remembered_and_not_tried_again(site):
    site.champions("a")
    site.gate = Decision(False, "it may be chance", {})
    state = site.run()
    assert (state.name, state.message) == (
        "Not promoted",
        "release a stays champion: McNemar's test: it may be chance",
    )
    (_, event) = site.registry.read().history
    assert (event.kind, event.checkpoint, event.trainings, event.who) == (
        "kept",
        "checkpoint of b",
        ["k"],
        "the schedule",
    )
    assert site.run().name == "Nothing to do"
    assert site.run(reason="look again").name == "Not promoted"
    assert site.did.count("challenge") == 2


@pytest.mark.parametrize(
    ("answer", "name", "why", "who"),
    [
        (None, "Not promoted", "nobody said yes within 24 hours", "the schedule"),
        (Approval(approve=False, who="Bea", reason="too few images"), "Not promoted", "Bea said no: too few", "Bea"),
        (Approval(approve=True, who="Bea", reason="good"), "Promoted", "approved: good", "Bea"),
        (Approval(approve=True), "Promoted", "approved: without a reason", "a person in the Prefect UI"),
    ],
)
def test_with_approval_a_person_decides(site, answer, name, why, who):
    site.champions("a")
    site.answer = answer
    state = site.run(settings={"retrain.approval": "true"})
    assert state.name == name
    assert why in state.message
    assert site.registry.read().history[-1].who == who
    assert site.registry.read().champion.release == ("b" if name == "Promoted" else "a")


def test_boards_that_a_killed_run_did_not_tell_are_told_first(site):
    site.champions("a", pending=True)
    site.training = Training(SAME, ("k",), False)
    assert site.run().name == "Nothing to do"
    assert site.did == ["tell a fleet", "download"]
    site.run()
    assert site.did.count("tell a fleet") == 1


def test_a_champion_whose_release_is_gone_does_not_end_retraining(site):
    site.champions("a", pending=True)
    site.gone = ("a",)
    state = site.run()
    assert state.name == "Promoted"
    assert "the boards cannot be told of champion a: the receipt of publish" in state.message
    assert "tell a fleet" not in site.did


def test_a_challenger_whose_release_is_gone_is_not_promoted(site):
    site.champions("a")
    site.gone = ("b",)
    with pytest.raises(UserError, match="release b is not here any more"):
        site.run()
    assert site.registry.read().champion.release == "a"


def test_a_champion_counts_from_its_promotion_not_from_the_question(site, monkeypatch):
    site.champions("a")
    site.answer = Approval(approve=True)
    before = time.time()
    site.run(settings={"retrain.approval": "true"})
    assert site.registry.read().champion.when >= before
    assert site.registry.read().history[-1].when >= before


def test_a_verdict_over_a_champion_that_changed_meanwhile_is_not_kept(site):
    site.champions("a")
    site.gate = Decision(False, "it may be chance", {})
    site.meanwhile = lambda: site.registry.promote(champion("z"), ["l"], over="a", pending=False)
    with pytest.raises(Refused, match="champion is z by now"):
        site.run()
    assert [event.kind for event in site.registry.read().history] == ["promoted", "promoted"]


def test_a_champion_that_changed_meanwhile_is_not_replaced(site):
    site.champions("a")
    site.meanwhile = lambda: site.registry.promote(champion("z"), ["l"], over="a", pending=False)
    with pytest.raises(Refused, match="champion is z by now"):
        site.run()
    assert site.registry.read().champion.release == "z"
    assert "promoted b" not in site.did
    assert site.reports[0].startswith("# Interrupted")


def test_a_rollout_that_stops_fails_the_run(site):
    site.stop = GateFailed("rollout 1 stopped")
    with pytest.raises(GateFailed):
        site.run()
    assert len(site.reports) == 1


def test_without_a_rollout_nothing_is_left_to_be_told(site):
    site.stop = GateFailed("not told")
    with pytest.raises(GateFailed):
        site.run(settings={"retrain.rollout": "none"})
    assert not site.registry.read().pending


def test_a_demotion_brings_registry_and_boards_back(site, monkeypatch):
    site.champions("a", "b")
    monkeypatch.setattr(module, "back_to", lambda chain, state, to: state.models[to or "a"])
    state = module.demote.fn(DemoteRequest(reason="trucks", who="Ada"))
    assert (state.name, state.message) == ("Demoted", "release a is champion again, in place of b: trucks")
    assert site.did == ["demoted b", "tell a stay"]
    known = site.registry.read()
    assert (known.champion.release, known.history[-1].who, known.pending) == ("a", "Ada", False)


class Run:
    """A flow run of Prefect, tried for this time."""

    def __init__(self, run_count):
        self.run_count = run_count
        self.scheduled_start_time = datetime.now(UTC)


def test_a_demotion_that_is_tried_again_only_tells_the_boards(site, monkeypatch):
    site.champions("a", "b", "c")
    run = Run(1)
    monkeypatch.setattr(module, "flow_run", run)
    monkeypatch.setattr(module, "back_to", lambda chain, state, to: state.predecessor())
    site.stop = GateFailed("a board is down")
    with pytest.raises(GateFailed):
        module.demote.fn(DemoteRequest(reason="trucks", who="Ada"))
    run.run_count, site.stop = 2, None
    state = module.demote.fn(DemoteRequest(reason="trucks", who="Ada"))
    assert state.message == "release b is champion again, in place of c: trucks"
    assert site.did == ["demoted c", "tell b stay", "tell b stay"]
    known = site.registry.read()
    assert (known.champion.release, known.pending, known.history[-1].about) == ("b", False, "c")


def test_a_demotion_of_another_run_is_not_taken_for_one_s_own(site, monkeypatch):
    site.champions("a", "b", "c")
    monkeypatch.setattr(module, "back_to", lambda chain, state, to: state.predecessor())
    module.demote.fn(DemoteRequest(reason="trucks", who="Ada"))
    monkeypatch.setattr(module, "flow_run", Run(2))
    module.demote.fn(DemoteRequest(reason="trucks", who="Ada"))
    assert site.registry.read().champion.release == "a"


def test_a_demotion_that_cannot_work_changes_nothing(site, monkeypatch):
    site.champions("a", "b")

    def gone(chain, state, to):
        raise UserError("the receipt is not here any more")

    monkeypatch.setattr(module, "back_to", gone)
    with pytest.raises(UserError):
        module.demote.fn(DemoteRequest())
    assert site.registry.read().champion.release == "b"
    assert site.did == []


@pytest.mark.parametrize("text", ["a,b", "-1", "1.5"])
def test_what_is_no_seed_is_told_before_anything_is_started(monkeypatch, text):
    monkeypatch.setattr(command, "_in_prefect", lambda *_: pytest.fail("it got as far as Prefect"))
    with pytest.raises(UserError, match="are no seeds"):
        command.retrain(seeds=text)


def test_a_negative_seed_is_refused_in_the_form():
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        RetrainRequest(seeds=(1, -1))


def test_boards_that_are_asked_what_they_see_are_asked_whether_they_fell_back(site, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "task", lambda **_: lambda function: function)
    monkeypatch.setattr(module, "survey", lambda world, fleet, boards, limits: [])
    monkeypatch.setattr(module, "tell_of_fallen_boards", lambda chain, boards: asked.append(list(boards)))
    (board, *_) = load().boards
    fleet = Fleet(site.home)
    fleet.want("a", board, "sold")
    chain = SimpleNamespace(settings=load(), home=site.home, world=None)
    assert module._drift(chain, champion("a"), Challenge(champion("a"))) == ""
    assert asked == [[board]]
