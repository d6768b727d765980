"""The deployments: each can be loaded as a worker does, and `prefect.yaml` says the same."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from flows.cli.deployments import PREFECT_YAML
from flows.deployments import MAINTENANCE_CRON, Plan, Timetable, plans, prefect_yaml, runner_deployments
from infra.home import CHECKOUT
from infra.settings import RetrainSettings
from tasks.pipeline import EVERY_NAME


def listed(name: str, schedule: RetrainSettings) -> dict[str, Any]:
    """The entry of a deployment in prefect.yaml."""
    (entry,) = (item for item in yaml.safe_load(prefect_yaml(schedule=schedule))["deployments"] if item["name"] == name)
    return dict(entry)


def test_prefect_yaml_is_not_stale() -> None:
    assert PREFECT_YAML.read_text() == prefect_yaml(), "run `atlasflow deployments write`"


@pytest.mark.parametrize("plan", plans(), ids=lambda plan: plan.name)
def test_the_entry_point_leads_to_the_flow(plan: Plan) -> None:
    path, _, function = plan.entrypoint.partition(":")
    assert (CHECKOUT / path).is_file()
    assert getattr(importlib.import_module(plan.module), function) is plan.flow
    assert plan.flow.description


def test_a_served_deployment_names_its_file_whatever_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for deployment in runner_deployments():
        path, _, _ = (deployment.entrypoint or "").partition(":")
        assert Path(path).is_absolute()
        assert Path(path).is_file()


def test_each_stage_and_each_flow_has_one() -> None:
    names = [plan.name for plan in plans()]
    assert set(names) == {"pipeline", *EVERY_NAME, "rollout", "retrain", "demote", "tune", "maintenance"}
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("name", "cron"), [("maintenance", MAINTENANCE_CRON), ("retrain", "0 4 * * 1-5")])
def test_a_scheduled_flow_never_runs_twice_at_once(name: str, cron: str) -> None:
    schedule = RetrainSettings(cron="0 4 * * 1-5", timezone="Europe/Berlin")
    (found,) = (item for item in runner_deployments(schedule=schedule) if item.name == name)
    assert found.schedules is not None
    timing = found.schedules[0].schedule
    assert isinstance(timing, CronSchedule)
    assert (timing.cron, timing.timezone) == (cron, "Europe/Berlin")
    assert found.concurrency_options is not None
    assert found.concurrency_options.collision_strategy == ConcurrencyLimitStrategy.CANCEL_NEW
    entry = next(
        item for item in yaml.safe_load(prefect_yaml(schedule=schedule))["deployments"] if item["name"] == name
    )
    assert entry["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert entry["schedules"] == [{"cron": cron, "timezone": "Europe/Berlin"}]


def test_without_a_cron_expression_retraining_has_no_schedule() -> None:
    schedule = RetrainSettings(cron="")
    (found,) = (item for item in runner_deployments(schedule=schedule) if item.name == "retrain")
    assert found.schedules == []
    entry = next(
        item for item in yaml.safe_load(prefect_yaml(schedule=schedule))["deployments"] if item["name"] == "retrain"
    )
    assert "schedules" not in entry


def registered(
    name: str, schedule: RetrainSettings, *schedules: DeploymentScheduleCreate, paused: bool = False
) -> RunnerDeployment:
    """A deployment as it is registered when the server has it with these schedules."""
    kept = {name: Timetable(schedules, paused)}
    (found,) = (item for item in runner_deployments(schedule=schedule, kept=kept) if item.name == name)
    return found


def planned(**settings: str) -> DeploymentScheduleCreate:
    """The schedule of `retrain` that these settings give."""
    schedule = RetrainSettings(**settings)
    schedules = next(item for item in runner_deployments(schedule=schedule) if item.name == "retrain").schedules
    assert schedules is not None
    assert isinstance(schedules[0], DeploymentScheduleCreate)
    return schedules[0]


PERSONAL = DeploymentScheduleCreate(schedule=CronSchedule(cron="5 4 * * 1", timezone="UTC"), active=True)


def test_schedules_that_a_person_made_or_paused_stay_as_they_are() -> None:
    paused = planned().model_copy(update={"active": False})
    assert registered("retrain", RetrainSettings(), paused, PERSONAL).schedules == [paused, PERSONAL]
    assert registered("evaluate", RetrainSettings(), PERSONAL, paused=True).paused
    assert registered("retrain", RetrainSettings()).schedules == [], "a deleted one stays away"


def test_a_schedule_that_nobody_edited_follows_the_settings_and_stays_paused() -> None:
    paused = planned(cron="0 1 * * *").model_copy(update={"active": False})
    schedules = registered("retrain", RetrainSettings(cron="0 4 * * *"), paused).schedules
    assert schedules is not None
    (found,) = schedules
    assert isinstance(found.schedule, CronSchedule)
    assert found.schedule.cron == "0 4 * * *"
    assert not found.active
    assert registered("retrain", RetrainSettings(cron=""), paused, PERSONAL).schedules == [PERSONAL]


def test_a_schedule_that_a_person_edited_stays_and_one_of_version_0_1_is_adopted() -> None:
    edited = planned().model_copy(update={"schedule": PERSONAL.schedule})
    assert registered("retrain", RetrainSettings(cron="0 4 * * *"), edited).schedules == [edited]
    older = planned().model_copy(update={"slug": None, "active": False})
    schedules = registered("retrain", RetrainSettings(), older).schedules
    assert schedules is not None
    (found,) = schedules
    assert found.slug == planned().slug
    assert not found.active


def test_without_a_word_on_the_profile_a_run_takes_the_request_s_own() -> None:
    assert all(item.parameters == {} for item in runner_deployments())
    assert "parameters" not in prefect_yaml()


@pytest.mark.parametrize("plan", plans(), ids=lambda plan: plan.name)
def test_each_flow_that_comes_by_itself_runs_with_the_profile_that_was_asked_for(plan: Plan) -> None:
    (served,) = (item for item in runner_deployments("cloud") if item.name == plan.name)
    (listed,) = (item for item in yaml.safe_load(prefect_yaml("cloud"))["deployments"] if item["name"] == plan.name)
    assert served.parameters == listed["parameters"] == {"request": {"profile": "cloud"}}
    assert plan.flow.validate_parameters(served.parameters)["request"].profile == "cloud"
