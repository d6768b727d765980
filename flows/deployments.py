"""Every Prefect deployment and schedule; `prefect.yaml` is written from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound

from flows.maintenance import maintenance
from flows.pipeline import pipeline
from flows.retrain.demotion import demote
from flows.retrain.flow import retrain
from flows.rollout import rollout
from flows.server import WORK_POOL
from flows.stages import STAGE_FLOWS
from flows.tune.flow import tune
from infra.home import CHECKOUT, enter_checkout
from infra.settings import RetrainSettings
from infra.store.digests import text_digest

DEFAULT_PROFILE = "local"
"""The default of every request, so that a deployment with this profile needs no parameters."""
MAINTENANCE_CRON = "30 3 * * 0"
HEADER = "# Written by `atlasflow deployments write` from flows/deployments.py; change that file instead.\n"


@dataclass(frozen=True)
class Plan:
    """One deployment.

    Attributes:
        flow: the flow.
        module: the module that defines it, for the entry point.
        tags: for filtering in the UI.
        cron: its schedule; empty: only when triggered.
        timezone: of `cron`.
        alone: cancel a run that is due while another one is running; without it both run.
    """

    flow: Flow[..., Any]
    module: str
    tags: tuple[str, ...]
    cron: str = ""
    timezone: str = ""
    alone: bool = False

    @property
    def name(self) -> str:
        """Name of the flow and of the deployment."""
        return str(self.flow.name)

    @property
    def entrypoint(self) -> str:
        """File and function, relative to the checkout."""
        return f"{self.module.replace('.', '/')}.py:{self.flow.fn.__name__}"


def plans(schedule: RetrainSettings = RetrainSettings()) -> tuple[Plan, ...]:  # noqa: B008 - frozen
    """List the deployments.

    Args:
        schedule: cron expression of `retrain`, and the time zone of every schedule.
    """
    zone = schedule.timezone
    return (
        Plan(pipeline, "flows.pipeline", ("chain",)),
        *(Plan(single, "flows.stages", ("chain", "stage")) for single in STAGE_FLOWS.values()),
        Plan(retrain, "flows.retrain.flow", ("retraining",), schedule.cron, zone, alone=True),
        Plan(demote, "flows.retrain.demotion", ("retraining", "boards")),
        Plan(rollout, "flows.rollout", ("boards",)),
        Plan(tune, "flows.tune.flow", ("tuning",)),
        Plan(maintenance, "flows.maintenance", ("maintenance",), MAINTENANCE_CRON, zone, alone=True),
    )


@dataclass(frozen=True)
class Timetable:
    """What a person can change about a deployment in the Prefect UI: its schedules, and whether it is paused."""

    schedules: tuple[DeploymentScheduleCreate, ...]
    paused: bool


def read_timetables() -> dict[str, Timetable]:
    """Read the timetables of our deployments that the Prefect server has already, by name."""
    found = {}
    fields = set(DeploymentScheduleCreate.model_fields)
    with get_client(sync_client=True) as client:
        for plan in plans():
            try:
                deployment = client.read_deployment_by_name(f"{plan.name}/{plan.name}")
            except ObjectNotFound:
                continue
            schedules = tuple(
                DeploymentScheduleCreate(**{name: value for name, value in dict(schedule).items() if name in fields})
                for schedule in deployment.schedules
            )
            found[plan.name] = Timetable(schedules, paused=deployment.paused)
    return found


def runner_deployments(
    profile: str = DEFAULT_PROFILE,
    schedule: RetrainSettings = RetrainSettings(),  # noqa: B008 - frozen
    kept: Mapping[str, Timetable] = MappingProxyType({}),
    settings: Mapping[str, str] = MappingProxyType({}),
) -> list[RunnerDeployment]:
    """Build the deployments for one serving process.

    Args:
        profile: of their runs, unless a run's request names another one.
        schedule: cron expression of `retrain`, and the time zone of every schedule.
        kept: timetables of the deployments that the server has. To register a deployment replaces its schedules, so
            without this a restart would undo what people did in the Prefect UI.
        settings: of their runs, likewise.
    """
    parameters = _parameters(profile, settings)
    return [_runner_deployment(plan, parameters, kept.get(plan.name)) for plan in plans(schedule)]


def _runner_deployment(plan: Plan, parameters: dict[str, Any], kept: Timetable | None) -> RunnerDeployment:
    deployment = RunnerDeployment.from_flow(
        plan.flow,
        name=plan.name,
        paused=kept is not None and kept.paused,
        tags=list(plan.tags),
        description=plan.flow.description,
        parameters=parameters,
        concurrency_limit=_limit(plan),
    )
    # Prefect names the file relative to the working directory, and runs start in another one.
    deployment.entrypoint = f"{CHECKOUT}/{plan.entrypoint}"
    planned = _schedule(plan)
    if kept is None:
        deployment.schedules = [planned] if planned else []
    else:
        current = (_current(found, planned) for found in kept.schedules)
        deployment.schedules = [schedule for schedule in current if schedule is not None]
    return deployment


def _schedule(plan: Plan) -> DeploymentScheduleCreate | None:
    """The schedule of a plan. Its slug is a digest of it, by which it is known to be as we made it."""
    if not plan.cron:
        return None
    schedule = CronSchedule(cron=plan.cron, timezone=plan.timezone)
    return DeploymentScheduleCreate(schedule=schedule, active=True, slug=_slug(schedule))


def _slug(schedule: SCHEDULE_TYPES) -> str:
    return f"atlasflow-{text_digest(schedule.model_dump_json(include={'cron', 'timezone'}))[:12]}"


def _current(
    found: DeploymentScheduleCreate, planned: DeploymentScheduleCreate | None
) -> DeploymentScheduleCreate | None:
    """A schedule of the server as it shall be: one of ours that nobody edited follows the plan, and stays paused.

    None where the plan has no schedule any more. Version 0.1 made its schedules without a slug.
    """
    ours = _slug(found.schedule)
    unedited = found.slug == ours or (found.slug is None and planned is not None and ours == planned.slug)
    if not unedited:
        return found
    return planned and planned.model_copy(update={"active": found.active, "parameters": found.parameters})


def prefect_yaml(
    profile: str = DEFAULT_PROFILE,
    schedule: RetrainSettings = RetrainSettings(),  # noqa: B008 - frozen
) -> str:
    """Write the text of `prefect.yaml`, from which workers of the pool `atlasflow` get the same deployments."""
    # Without a pull step, a deployment would contain the path of the checkout in which it was created.
    pull: list[dict[str, object]] = [{f"{enter_checkout.__module__}.{enter_checkout.__name__}": {}}]
    entries = [_entry(plan, profile) for plan in plans(schedule)]
    content = {"name": "atlasflow", "pull": pull, "deployments": entries}
    return f"{HEADER}{yaml.safe_dump(content, sort_keys=False, width=110)}"


def _limit(plan: Plan) -> ConcurrencyLimitConfig | None:
    if not plan.alone:
        return None
    return ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def _parameters(profile: str, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Parameters of every flow, each of which takes one request; empty where the request's defaults are the same."""
    request: dict[str, Any] = {} if profile == DEFAULT_PROFILE else {"profile": profile}
    if settings:
        request["settings"] = dict(settings)
    return {"request": request} if request else {}


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
