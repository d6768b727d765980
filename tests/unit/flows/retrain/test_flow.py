"""Retraining and demotion without a Prefect server: a real registry, recorded effects."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli import retrain as command
from flows.requests import DemoteRequest, RetrainRequest, Target
from flows.retrain.challenge import ChallengeContext
from flows.retrain.demotion import run_demotion
from flows.retrain.effects import Effects, boards_of
from flows.retrain.flow import run_retraining
from flows.retrain.promotion import Approval, ChampionRollout, check_rollout
from flows.rollout import RolloutRequest
from infra.champions import Champion, Registry, RegistryState
from infra.errors import AtlasFlowError, GateFailed, Refused, UserError
from infra.fleet import Fleet
from infra.settings import load
from infra.store.locks import hold
from infra.store.runs import RunRecord, Runs
from tasks.engine.chain import Chain
from tasks.engine.gates import Decision
from tasks.engine.reporter import Silent
from tasks.engine.stage import Reporter
from tasks.retrain.challenge import Gate, GateResult
from tasks.retrain.drift import BoardDrift
from tasks.retrain.reasons import Training
from tests.unit.infra.champions import champion

SAME = {"settings": {"epochs": 30, "seed": 1}, "code": {}, "inputs": {"data": "d"}}
CHANGED = SAME | {"inputs": {"data": "e"}}


class Site(Effects):
    """Effects that are recorded in `did`, in their order."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.did: list[str] = []
        self.reports: list[str] = []
        self.planned = Training(CHANGED, ("k",), False)
        self.gate = Decision(True, "it is better", {})
        self.answer: Approval | None = None
        self.rollout_error: AtlasFlowError | None = None
        self.during_challenge: Callable[[], object] | None = None
        self.gone: Sequence[str] = ()
        self.known = Registry(home)

    def open_chain(self, target: Target, reporter: Reporter) -> Any:
        chain: Any = SimpleNamespace(settings=load(target.profile, target.settings), home=self.home)
        check_rollout(chain)
        return chain

    def registry(self, chain: Chain) -> Registry:
        return self.known

    def run_stage(self, chain: Chain, stage: str, record: RunRecord) -> None:
        self.did.append(stage)

    def planned_training(self, chain: Chain, seeds: Sequence[int]) -> Training:
        return self.planned

    def training_ingredients(self, chain: Chain, champion: Champion) -> Mapping[str, Any]:
        return SAME

    def check_boards(self, chain: Chain, champion: Champion) -> list[BoardDrift]:
        return []

    def run_challenge(self, context: ChallengeContext) -> Chain:
        self.did.append("challenge")
        context.challenge.checkpoint = "checkpoint of b"
        context.challenge.gates.append(GateResult(Gate.MCNEMAR, self.gate))
        if self.during_challenge:
            self.during_challenge()
        return context.chain

    def publish_run(self, chain: Chain, record: RunRecord) -> None:
        self.did.append("report")

    def publish_report(self, text: str) -> None:
        self.reports.append(text)

    def candidate(self, chain: Chain, who: str, why: str) -> Champion:
        return champion("b", who=who, why=why)

    def wait_for_approval(self, release: str, report: str, hours: float) -> Approval | None:
        self.did.append("ask")
        return self.answer

    def release_folder(self, chain: Chain, champion: Champion) -> Path:
        if champion.release in self.gone:
            raise UserError(f"the receipt of publish of release {champion.release} is gone")
        return self.home / champion.release

    def demotion_target(self, chain: Chain, state: RegistryState, to: str) -> Champion:
        assert state.champion
        return state.models[to or state.champion.before]

    def emit_event(self, kind: str, about: Champion, champion: Champion, who: str, why: str) -> None:
        self.did.append(f"{kind} {about.release}")

    def rollout(self, chain: Chain, champion: Champion, target: Target) -> ChampionRollout:
        def subflow(request: RolloutRequest) -> None:
            self.did.append(f"roll out {champion.release} {request.on_stop}")
            if self.rollout_error:
                raise self.rollout_error

        return ChampionRollout(chain, champion, target, subflow=subflow, folder_of=self.release_folder)

    def run(self, reporter: Reporter = Silent(), **request: Any) -> Any:  # noqa: B008 - without state
        return run_retraining(RetrainRequest(**request), reporter, self)

    def demote(self, retry_of: float | None = None, **request: Any) -> Any:
        return run_demotion(DemoteRequest(**request), Silent(), self, retry_of=retry_of)

    def champions(self, *releases: str, pending: bool = False) -> None:
        for before, release in zip(("", *releases), releases, strict=False):
            model = champion(release, when=time.time())
            self.known.promote(model, [f"train {release}"], over=before, pending=pending)

    def champion(self) -> Champion:
        """The champion by now."""
        found = self.known.read().champion
        assert found
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


@pytest.mark.parametrize("waves", ['["abc"]', '["0"]', '["150%"]'])
def test_wrong_wave_sizes_are_refused_before_anything_happens(site: Site, waves: str) -> None:
    with pytest.raises(UserError, match="is not the size of a wave"):
        site.run(settings={"retrain.waves": waves})
    site.champions("a", "b")
    with pytest.raises(UserError, match="is not the size of a wave"):
        site.demote(settings={"retrain.waves": waves})
    assert site.did == []
    assert site.champion().release == "b"


def test_a_second_retraining_waits_for_the_first_and_reads_the_registry_afterwards(site: Site) -> None:
    """It would roll out what the first one is rolling out, and that second rollout would be refused."""
    lines: list[str] = []
    waits = threading.Event()

    class Waiting(Silent):
        def line(self, stage: str, text: str) -> None:
            lines.append(text)
            waits.set()

    with ThreadPoolExecutor(1) as pool, hold(site.home / "locks" / "retrain"):
        site.champions("a", pending=True)
        second = pool.submit(site.run, Waiting())
        assert waits.wait(10)
        assert lines == ["another retraining is in progress here; waiting for it to end"]
        assert site.did == []
        site.known.mark_rolled_out("a")
        site.planned = Training(SAME, ("k",), False)
    assert second.result().name == "Nothing to do"
    assert site.did == ["download"]


def test_the_first_challenger_is_promoted_and_rolled_out(site: Site) -> None:
    state = site.run(who="Ada")
    assert state.name == "Promoted"
    assert site.did == ["download", "challenge", "report", "promoted b", "roll out b fleet"]
    found = site.champion()
    assert (found.release, found.who, site.known.read().pending) == ("b", "Ada", False)
    assert found.why == "there is no champion yet; it is better"
    assert site.reports[0].startswith("# Promoted\n\nrelease b is champion")
    assert Runs(site.home).count() == 1


def test_without_a_reason_nothing_is_trained(site: Site) -> None:
    site.champions("a")
    site.planned = Training(SAME, ("k",), False)
    state = site.run()
    assert (state.type.value, state.name) == ("COMPLETED", "Nothing to do")
    assert site.did == ["download"]
    assert "those of the champion" in site.reports[0]
    assert len(site.known.read().history) == 1


def test_a_refused_challenger_is_recorded_and_not_tried_again(site: Site) -> None:
    site.champions("a")
    site.gate = Decision(False, "it may be chance", {})
    state = site.run()
    assert state.name == "Not promoted"
    assert state.message == "release a stays champion: McNemar's test: it may be chance"
    (_, event) = site.known.read().history
    assert (event.kind, event.checkpoint, event.trainings) == ("kept", "checkpoint of b", ("k",))
    assert event.who == "the schedule"
    assert site.run().name == "Nothing to do"
    assert site.run(reason="look again").name == "Not promoted"
    assert site.did.count("challenge") == 2


@pytest.mark.parametrize(
    ("answer", "name", "why", "who"),
    [
        (None, "Not promoted", "nobody approved it within 24 hours", "the schedule"),
        (
            Approval(approve=False, who="Bea", reason="too few images"),
            "Not promoted",
            "Bea rejected it: too few",
            "Bea",
        ),
        (Approval(approve=True, who="Bea", reason="good"), "Promoted", "approved: good", "Bea"),
        (Approval(approve=True), "Promoted", "approved: no reason given", "a person in the Prefect UI"),
    ],
)
def test_with_approval_a_person_decides(site: Site, answer: Approval | None, name: str, why: str, who: str) -> None:
    site.champions("a")
    site.answer = answer
    state = site.run(settings={"retrain.approval": "true"})
    assert state.name == name
    assert why in state.message
    assert site.known.read().history[-1].who == who
    assert site.champion().release == ("b" if name == "Promoted" else "a")


def test_a_rollout_that_a_killed_run_did_not_start_comes_first(site: Site) -> None:
    site.champions("a", pending=True)
    site.planned = Training(SAME, ("k",), False)
    assert site.run().name == "Nothing to do"
    assert site.did == ["roll out a fleet", "download"]
    site.run()
    assert site.did.count("roll out a fleet") == 1


def test_retraining_goes_on_when_the_release_of_the_champion_is_gone(site: Site) -> None:
    site.champions("a", pending=True)
    site.gone = ("a",)
    state = site.run()
    assert state.name == "Promoted"
    assert "champion a cannot be rolled out: the receipt of publish" in state.message
    assert "roll out a fleet" not in site.did


def test_a_challenger_is_not_promoted_when_its_release_is_gone(site: Site) -> None:
    site.champions("a")
    site.gone = ("b",)
    with pytest.raises(UserError, match="release b is gone"):
        site.run()
    assert site.champion().release == "a"


def test_the_promotion_counts_from_the_approval(site: Site) -> None:
    site.champions("a")
    site.answer = Approval(approve=True)
    before = time.time()
    site.run(settings={"retrain.approval": "true"})
    assert site.champion().when >= before
    assert site.known.read().history[-1].when >= before


def test_a_refusal_is_not_recorded_when_the_champion_changed_meanwhile(site: Site) -> None:
    site.champions("a")
    site.gate = Decision(False, "it may be chance", {})
    site.during_challenge = lambda: site.known.promote(champion("z"), ["l"], over="a", pending=False)
    with pytest.raises(Refused, match="champion is z now"):
        site.run()
    assert [event.kind for event in site.known.read().history] == ["promoted", "promoted"]


def test_a_champion_that_changed_meanwhile_is_not_replaced(site: Site) -> None:
    site.champions("a")
    site.during_challenge = lambda: site.known.promote(champion("z"), ["l"], over="a", pending=False)
    with pytest.raises(Refused, match="champion is z now"):
        site.run()
    assert site.champion().release == "z"
    assert "promoted b" not in site.did
    assert site.reports[0].startswith("# Interrupted")


def test_a_rollout_that_stops_fails_the_run(site: Site) -> None:
    site.rollout_error = GateFailed("rollout 1 stopped")
    with pytest.raises(GateFailed):
        site.run()
    assert len(site.reports) == 1
    assert site.known.read().pending


def test_without_a_rollout_nothing_is_pending(site: Site) -> None:
    site.rollout_error = GateFailed("not reached")
    assert site.run(settings={"retrain.rollout": "none"}).name == "Promoted"
    assert not site.known.read().pending


def test_a_demotion_restores_registry_and_boards(site: Site) -> None:
    site.champions("a", "b")
    state = site.demote(reason="trucks", who="Ada")
    assert (state.name, state.message) == ("Demoted", "release a is champion again, in place of b: trucks")
    assert site.did == ["demoted b", "roll out a stay"]
    known = site.known.read()
    assert (site.champion().release, known.history[-1].who, known.pending) == ("a", "Ada", False)


def test_a_demotion_that_is_tried_again_only_rolls_out(site: Site) -> None:
    site.champions("a", "b", "c")
    began = time.time()
    site.rollout_error = GateFailed("a board is down")
    with pytest.raises(GateFailed):
        site.demote(reason="trucks", who="Ada")
    site.rollout_error = None
    state = site.demote(retry_of=began, reason="trucks", who="Ada")
    assert state.message == "release b is champion again, in place of c: trucks"
    assert site.did == ["demoted c", "roll out b stay", "roll out b stay"]
    known = site.known.read()
    assert (site.champion().release, known.pending, known.history[-1].about) == ("b", False, "c")


def test_the_demotion_of_another_run_does_not_count_as_its_own(site: Site) -> None:
    site.champions("a", "b", "c")
    site.demote(reason="trucks", who="Ada")
    site.demote(retry_of=time.time(), reason="trucks", who="Ada")
    assert site.champion().release == "a"


def test_a_demotion_that_cannot_work_changes_nothing(tmp_path: Path) -> None:
    class Gone(Site):
        def demotion_target(self, chain: Chain, state: RegistryState, to: str) -> Champion:
            raise UserError("the receipt is gone")

    site = Gone(tmp_path / "home")
    site.champions("a", "b")
    with pytest.raises(UserError):
        site.demote()
    assert site.champion().release == "b"
    assert site.did == []


@pytest.mark.parametrize("text", ["a,b", "-1", "1.5"])
def test_wrong_seeds_are_refused_before_anything_starts(text: str) -> None:
    with pytest.raises(UserError, match="is not a list of seeds"):
        command.retrain(seeds=text)


def test_a_negative_seed_is_refused_in_the_form() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        RetrainRequest(seeds=(1, -1))


def test_the_boards_of_a_champion_are_those_of_the_settings(tmp_path: Path) -> None:
    chain: Any = SimpleNamespace(settings=load(), home=tmp_path)
    (board, *_) = chain.settings.boards
    Fleet(tmp_path).want("a", board, "sold")
    assert boards_of(chain, champion("a")) == [board]
    assert boards_of(chain, champion("b")) == []
