"""Every Prefect deployment and schedule, in one place; `prefect.yaml` is written from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron

from flows.maintenance import maintenance
from flows.pipeline import pipeline
from flows.retrain.flow import demote, retrain
from flows.rollout import rollout
from flows.server import WORK_POOL
from flows.stages import STAGE_FLOWS
from flows.tune.flow import tune
from infra.home import enter_checkout

DEFAULT_PROFILE = "local"
"""Of every request, so that its deployment need not name it."""
TIMEZONE = "Asia/Shanghai"
"""Of every schedule: the clock of the people who use it, and of Huawei Cloud's cn-north-4."""
RETRAIN_CRON = "30 1 * * *"
HEADER = "# Written by `atlasflow deployments write` from flows/deployments.py; change that file instead.\n"


@dataclass(frozen=True)
class Plan:
    """One deployment.

    Attributes:
        flow: what is run.
        module: where it is defined, as Prefect's entry points name it.
        tags: for filtering in the UI.
        cron: when it runs by itself; empty: only when it is triggered.
        timezone: of `cron`.
        alone: True when a run that is due while another one goes on is cancelled; others wait.
    """

    flow: Flow[..., Any]
    module: str
    tags: tuple[str, ...]
    cron: str = ""
    timezone: str = TIMEZONE
    alone: bool = False

    @property
    def name(self) -> str:
        """Flow and deployment have one name."""
        return str(self.flow.name)

    @property
    def entrypoint(self) -> str:
        """File and function, relative to the checkout."""
        return f"{self.module.replace('.', '/')}.py:{self.flow.fn.__name__}"


PLANS = (
    Plan(pipeline, "flows.pipeline", ("chain",)),
    *(Plan(single, "flows.stages", ("chain", "stage")) for single in STAGE_FLOWS.values()),
    Plan(retrain, "flows.retrain.flow", ("retraining",), cron=RETRAIN_CRON, alone=True),
    Plan(demote, "flows.retrain.flow", ("retraining", "boards")),
    Plan(rollout, "flows.rollout", ("boards",)),
    Plan(tune, "flows.tune.flow", ("tuning",)),
    Plan(maintenance, "flows.maintenance", ("maintenance",), cron="30 3 * * 0", alone=True),
)


def runner_deployments(profile: str = DEFAULT_PROFILE) -> list[RunnerDeployment]:
    """The deployments for one serving process; what their runs are not told otherwise, they do with `profile`."""
    return [
        RunnerDeployment.from_flow(
            plan.flow,
            name=plan.name,
            schedule=Cron(plan.cron, timezone=plan.timezone) if plan.cron else None,
            tags=list(plan.tags),
            description=plan.flow.description,
            parameters=_parameters(profile),
            concurrency_limit=_limit(plan),
        )
        for plan in PLANS
    ]


def prefect_yaml(profile: str = DEFAULT_PROFILE) -> str:
    """The text of `prefect.yaml`, by which workers of the pool `atlasflow` get the same deployments."""
    # Without a pull step, a deployment would hold the path of the checkout in which it was made.
    pull: list[dict[str, object]] = [{f"{enter_checkout.__module__}.{enter_checkout.__name__}": {}}]
    content = {"name": "atlasflow", "pull": pull, "deployments": [_entry(plan, profile) for plan in PLANS]}
    return f"{HEADER}{yaml.safe_dump(content, sort_keys=False, width=110)}"


def _limit(plan: Plan) -> ConcurrencyLimitConfig | None:
    if not plan.alone:
        return None
    return ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def _parameters(profile: str) -> dict[str, Any]:
    """What every flow is given, as each takes one request; nothing where its own default says the same."""
    return {} if profile == DEFAULT_PROFILE else {"request": {"profile": profile}}


def _entry(plan: Plan, profile: str) -> Mapping[str, object]:
    entry: dict[str, object] = {
        "name": plan.name,
        "entrypoint": plan.entrypoint,
        "description": plan.flow.description,
        "tags": list(plan.tags),
        "work_pool": {"name": WORK_POOL},
    }
    if parameters := _parameters(profile):
        entry["parameters"] = parameters
    if plan.cron:
        entry["schedules"] = [{"cron": plan.cron, "timezone": plan.timezone}]
    if plan.alone:
        entry["concurrency_limit"] = {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    return entry
