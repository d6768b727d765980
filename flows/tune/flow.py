"""Tuning: a search over networks and trainings; each trial is a cached training on a Dask worker."""

import time
from collections.abc import Mapping
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.context import open_chain
from flows.pipeline import run_one
from flows.requests import RetrainRequest, TuneRequest, current_request, run_name
from flows.retrain.flow import retrain
from flows.tune.search import SearchRun
from infra.errors import GateFailed
from infra.home import CHECKOUT
from infra.store.code_digest import closure
from infra.store.digests import value_digest
from infra.store.gc import LOCK as GARBAGE_LOCK
from infra.store.locks import hold
from infra.store.runs import RunRecord, Runs
from models.networks.registry import code_of
from models.spec.recipes import RECIPES, to_json
from tasks.engine.chain import Chain
from tasks.engine.reporter import reporter
from tasks.engine.stage import Reporter
from tasks.orchestration.prefect_task import FlowReporter
from tasks.tune.publish import publish
from tasks.tune.report import best
from tasks.tune.space import Choice, Space, space_of
from tasks.tune.study import Trial, check, opened, study_name

STAGE = "tune"
FOLDER = "tuning"
"""Folder in the home, with a folder for each study: database, table, summary and pictures."""
DEFAULT_TRIALS = 20


def _name() -> str:
    return run_name("tune", current_request(TuneRequest))


@flow(name="tune", flow_run_name=_name, persist_result=False)
def tune(request: TuneRequest = TuneRequest()) -> State[Any]:  # noqa: B008 - frozen
    """Search for the network and the training with the best score of accuracy, size and latency."""
    # This function is sent to the workers with each trial, so it is small.
    return _tune(request)


def _tune(request: TuneRequest) -> State[Any]:
    events = FlowReporter(reporter.get())
    chain = open_chain(request.profile, dict(request.settings), events)
    space = space_of(request.recipes or (chain.settings.train.recipe,), request.networks, request.space)
    check(request.search, space)
    deadline = None if request.minutes is None else time.time() + 60 * request.minutes
    record = Runs(chain.home).begin(request.profile)
    record.flow_run = str(flow_run.id or "")
    with hold(chain.home / "locks" / GARBAGE_LOCK, shared=True):
        name, winner = _search(chain, request, space, record, events, deadline)
    assert winner.score is not None  # noqa: S101 - the best trial has one
    text = f"{name}: trial {winner.number} has the best score, {winner.score:.2f}"
    events.line(STAGE, text)
    if request.promote:
        text += f"; {_challenge(request, winner, name)}"
    return Completed(message=text, data=name)


def _search(
    chain: Chain, request: TuneRequest, space: Space, record: RunRecord, events: Reporter, deadline: float | None
) -> tuple[str, Trial]:
    """Search; returns the name of the study and its best trial."""
    prepared = ("download", "upload") if chain.settings.train.target == "modelarts" else ("download",)
    for stage in prepared:
        run_one(chain, stage, record)
    definition = _definition(chain, request, space)
    name = request.study or study_name(definition)
    folder = chain.home / FOLDER / name
    limit = request.trials or (None if request.search == "grid" or request.minutes is not None else DEFAULT_TRIALS)
    waiting = f"another process uses the study {name}; waiting for it"
    with (
        hold(folder / "lock", lambda: events.line(STAGE, waiting)),
        opened(folder, definition, space) as study,
    ):
        try:
            SearchRun(chain, request, study, record, events, limit=limit, deadline=deadline).run()
        finally:
            Runs(chain.home).save(record)
            trials = study.trials()
            publish(trials, space, name, folder)
    winner = best(trials)
    if winner is None:
        why = next((trial.outcome.reason for trial in trials if trial.outcome is not None), "the time was over")
        raise GateFailed(f"no trial of {name} is finished: {why}", hint="run it again, or vary something else")
    return name, winner


def _definition(chain: Chain, request: TuneRequest, space: Space) -> Mapping[str, Any]:
    """Everything that the results of a study depend on; other data, code or tools make it another study."""
    training = chain.look(chain.stages["train"]).ingredients or {}
    recipes = next(factor.values for factor in space.factors if factor.name == "recipe" and isinstance(factor, Choice))
    networks = request.networks or tuple(
        str(chain.settings.train.overrides().get("network", RECIPES[recipe].network)) for recipe in recipes
    )
    modules = {"tasks.stages.train", "tasks.stages.evaluate", "tasks.stages.profile"}
    for command in ("train", "evaluate", "profile"):
        modules |= {module for network in networks for module in code_of(command, network)}
    return {
        "search": request.search,
        "seed": request.seed,
        "space": [[factor.name, repr(factor)] for factor in space.factors],
        "recipes": {recipe: to_json(RECIPES[recipe]) for recipe in recipes},
        "settings": {name: str(value) for name, value in sorted(chain.settings.train.overrides().items())},
        "threads": chain.settings.tune.threads,
        "code": value_digest(closure(sorted(modules), CHECKOUT)),
        **{name: training[name] for name in ("inputs", "producer", "tools")},
    }


def _challenge(request: TuneRequest, winner: Trial, name: str) -> str:
    """Let the best trial challenge the champion, with the gates of any challenger; returns the result in words."""
    settings = {**request.settings, **{f"train.{field}": value for field, value in winner.levels.items()}}
    why = f"the best trial of the study {name}, number {winner.number}, has the score {winner.score:.2f}"
    state = retrain(
        RetrainRequest(profile=request.profile, settings=settings, reason=why, who="tune"), return_state=True
    )
    state.result()
    return f"{state.name}: {state.message}"
