"""A person's word and the boards, without a Prefect server."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from prefect.exceptions import FlowPauseTimeout, ObjectNotFound

from flows.requests import RetrainRequest
from flows.retrain import promotion
from flows.retrain.promotion import Approval, ask, check_rollout, tell_boards
from infra.champions import Registry
from infra.errors import GateFailed, UserError
from infra.settings import load
from tasks.engine.reporter import Silent
from tests.unit.infra.champions import champion


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A registry whose champion's boards were not told, and what is asked of rollouts."""
    asked = []
    monkeypatch.setattr(promotion, "rollout", lambda request: asked.append(("subflow", request)))
    monkeypatch.setattr(
        promotion,
        "run_deployment",
        lambda name, parameters, timeout: asked.append((name, promotion.RolloutRequest(**parameters["request"]))),
    )
    monkeypatch.setattr(promotion, "release_folder", lambda chain, model: tmp_path / "releases" / model.release)
    registry = Registry(tmp_path / "home")
    registry.promote(champion("a"), ["k"], over="", pending=True)

    def tell(**settings):
        chain = SimpleNamespace(settings=load(overrides=settings), home=tmp_path / "home")
        request = RetrainRequest(settings={"train.epochs": "3"})
        tell_boards(chain, registry, registry.read().champion, request, Silent(), on_stop="fleet")

    return SimpleNamespace(asked=asked, registry=registry, tell=tell, folder=tmp_path / "releases" / "a")


def test_the_boards_of_the_profile_get_the_release_within_the_run(site):
    site.tell(**{"retrain.max_failed": "0.1", "retrain.waves": '["1"]'})
    ((how, request),) = site.asked
    assert how == "subflow"
    assert (request.boards, request.everything, request.on_stop) == (("laptop",), False, "fleet")
    assert (request.waves, request.max_failed) == (("1",), 0.1)
    assert request.settings == {"train.epochs": "3", "deploy.release": str(site.folder)}
    assert not site.registry.read().pending


def test_the_deployment_gets_an_address_that_every_machine_can_reach(site):
    site.tell(**{"retrain.rollout": "deployment", "retrain.boards": "fleet"})
    ((name, request),) = site.asked
    assert name == "rollout/rollout"
    assert (request.boards, request.everything) == ((), True)
    assert request.settings["deploy.release"] == "obs://atlasflow/releases/a/"
    assert not site.registry.read().pending


@pytest.mark.parametrize("settings", [{"retrain.rollout": "none"}, {"deploy.boards": "[]"}])
def test_where_there_is_nobody_to_tell_nothing_is_rolled_out(site, settings):
    site.tell(**settings)
    assert site.asked == []
    assert not site.registry.read().pending


def test_a_rollout_that_stops_leaves_the_boards_to_be_told(site, monkeypatch):
    def stopped(_request):
        raise GateFailed("rollout stopped")

    monkeypatch.setattr(promotion, "rollout", stopped)
    with pytest.raises(GateFailed):
        site.tell()
    assert site.registry.read().pending


def test_a_deployment_that_is_to_be_asked_must_be_there(monkeypatch):
    class Client:
        def read_deployment_by_name(self, name):
            raise ObjectNotFound(http_exc=LookupError(name))

    monkeypatch.setattr(promotion, "get_client", lambda sync_client: nullcontext(Client()))
    check_rollout(SimpleNamespace(settings=load()))
    with pytest.raises(UserError, match=r"(?s)no deployment rollout/rollout.*`atlasflow serve`"):
        check_rollout(SimpleNamespace(settings=load(overrides={"retrain.rollout": "deployment"})))


def test_an_answer_is_handed_on_and_the_form_shows_the_report(monkeypatch):
    seen, keys = {}, []

    def paused(wait_for_input, timeout, poll_interval, key):
        seen.update(form=wait_for_input, timeout=timeout)
        keys.append(key)
        return Approval(approve=True, who="Ada", reason="I looked")

    monkeypatch.setattr(promotion, "pause_flow_run", paused)
    answer = ask("b", "# report", 24, Silent())
    assert (answer.approve, answer.who, answer.reason) == (True, "Ada", "I looked")
    assert seen["timeout"] == 86_400
    assert seen["form"]._description == "# report"
    assert set(seen["form"].model_json_schema()["properties"]) == {"approve", "who", "reason"}
    ask("b", "# report", 24, Silent())
    assert len(set(keys)) == 2, "the form of a run that is taken up again would be there already"


def test_without_an_answer_the_run_goes_on(monkeypatch):
    states = []

    class Client:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def set_flow_run_state(self, _identifier, state, *, force):
            states.append((state.type.value, force))

    def never(**_):
        raise FlowPauseTimeout

    monkeypatch.setattr(promotion, "pause_flow_run", never)
    monkeypatch.setattr(promotion, "get_client", lambda sync_client: Client())
    assert ask("b", "# report", 0.0001, Silent()) is None
    assert states == [("RUNNING", True)]
