"""Approval and rollout of a champion, without a Prefect server."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.exceptions import FlowPauseTimeout

from flows.requests import RetrainRequest
from flows.retrain.promotion import Approval, ChampionRollout, check_rollout, roll_out, wait_for_approval
from flows.rollout import RolloutRequest
from infra.champions import Champion, Registry
from infra.errors import GateFailed, UserError
from infra.settings import load
from tasks.engine.chain import Chain
from tasks.engine.reporter import Silent
from tests.unit.infra.champions import champion


class Site:
    """A registry with a pending champion, and the rollouts that were started."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.started: list[tuple[str, RolloutRequest]] = []
        self.stopped = False
        self.registry = Registry(home)
        self.registry.promote(champion("a"), ["k"], over="", pending=True)

    def subflow(self, request: RolloutRequest) -> None:
        self.started.append(("subflow", request))
        if self.stopped:
            raise GateFailed("rollout stopped")

    def deployment(self, name: str, parameters: dict[str, Any], timeout: float) -> None:
        self.started.append((name, RolloutRequest(**parameters["request"])))

    def folder_of(self, chain: Chain, champion: Champion) -> Path:
        return self.home / "releases" / champion.release

    def roll_out(self, **settings: str) -> None:
        chain: Any = SimpleNamespace(settings=load(overrides=settings), home=self.home)
        rollout = ChampionRollout(
            chain,
            champion("a"),
            RetrainRequest(settings={"train.epochs": "3"}),
            subflow=self.subflow,
            deployment=self.deployment,
            folder_of=self.folder_of,
        )
        roll_out(rollout, self.registry, Silent(), on_stop="fleet")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "home")


def test_the_boards_of_the_profile_get_the_release_within_the_run(site: Site) -> None:
    site.roll_out(**{"retrain.max_failed": "0.1", "retrain.waves": '["1"]'})
    ((how, request),) = site.started
    assert how == "subflow"
    assert (request.boards, request.everything, request.on_stop) == (("laptop",), False, "fleet")
    assert (request.waves, request.max_failed) == (("1",), 0.1)
    assert request.settings == {"train.epochs": "3", "deploy.release": str(site.home / "releases" / "a")}
    assert not site.registry.read().pending


def test_the_deployment_gets_an_address_that_every_machine_can_reach(site: Site) -> None:
    site.roll_out(**{"retrain.rollout": "deployment", "retrain.boards": "fleet"})
    ((name, request),) = site.started
    assert name == "rollout/rollout"
    assert (request.boards, request.everything) == ((), True)
    assert request.settings["deploy.release"] == "obs://atlasflow/releases/a/"
    assert not site.registry.read().pending


@pytest.mark.parametrize("settings", [{"retrain.rollout": "none"}, {"deploy.boards": "[]"}])
def test_without_boards_nothing_is_rolled_out(site: Site, settings: dict[str, str]) -> None:
    site.roll_out(**settings)
    assert site.started == []
    assert not site.registry.read().pending


def test_a_rollout_that_stops_stays_pending(site: Site) -> None:
    site.stopped = True
    with pytest.raises(GateFailed):
        site.roll_out()
    assert site.registry.read().pending


def test_the_deployment_of_the_rollout_must_exist() -> None:
    chain: Any = SimpleNamespace(settings=load())
    check_rollout(chain, exists=lambda name: False)
    chain = SimpleNamespace(settings=load(overrides={"retrain.rollout": "deployment"}))
    check_rollout(chain, exists=lambda name: True)
    with pytest.raises(UserError, match=r"(?s)no deployment rollout/rollout.*`atlasflow serve`"):
        check_rollout(chain, exists=lambda name: False)


def test_the_form_shows_the_report_and_the_answer_is_returned() -> None:
    pauses: list[dict[str, Any]] = []

    def pause(**options: Any) -> Approval:
        pauses.append(options)
        return Approval(approve=True, who="Ada", reason="I looked")

    answer = wait_for_approval("b", "# report", 24, Silent(), pause=pause)
    assert answer is not None
    assert (answer.approve, answer.who, answer.reason) == (True, "Ada", "I looked")
    assert pauses[0]["timeout"] == 86_400
    form = pauses[0]["wait_for_input"]
    assert form._description == "# report"
    assert set(form.model_json_schema()["properties"]) == {"approve", "who", "reason"}
    wait_for_approval("b", "# report", 24, Silent(), pause=pause)
    assert pauses[0]["key"] != pauses[1]["key"], "the form of an earlier try would exist already"


def test_without_an_answer_the_run_is_resumed() -> None:
    resumed: list[bool] = []

    def pause(**_: Any) -> Approval:
        raise FlowPauseTimeout

    answer = wait_for_approval("b", "# report", 0.0001, Silent(), pause=pause, resume=lambda: resumed.append(True))
    assert answer is None
    assert resumed == [True]
