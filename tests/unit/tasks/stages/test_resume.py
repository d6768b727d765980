from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger
from prefect.events.schemas.events import ResourceSpecification

from flows.deployments import plans
from infra.settings import load
from tasks.orchestration.automations import ATTEMPTS, CRASH, TAKE_UP, wanted

AUTOMATIONS = {automation.name: automation for automation in wanted(load(), None, [plan.name for plan in plans()])}


def test_a_run_is_missed_wherever_its_worker_dies() -> None:
    """An event that is expected and not waited after ends the watch; one of a pull step names no flow, and is none."""
    trigger = AUTOMATIONS[CRASH].trigger
    assert isinstance(trigger, EventTrigger)
    met = ("Pending", "Submitting", "Running", "heartbeat")
    assert {f"prefect.flow-run.{name}" for name in met} <= trigger.after
    for ended in ("Completed", "Failed", "Cancelled", "Crashed", "Scheduled", "AwaitingRetry", "Late", "Paused"):
        assert f"prefect.flow-run.{ended}" not in trigger.after


def test_only_runs_of_deployments_are_taken_up_again_and_not_for_ever() -> None:
    trigger = AUTOMATIONS[TAKE_UP].trigger
    assert isinstance(trigger, EventTrigger)
    assert isinstance(trigger.match_related, ResourceSpecification)
    assert trigger.expect == {"prefect.flow-run.Crashed"}
    assert trigger.within.seconds >= 300  # a run that cannot even start crashes with a count of 0 each time
    assert trigger.match["prefect.run-count"] == [str(count) for count in range(ATTEMPTS)]
    assert trigger.match_related["prefect.resource.role"] == ["deployment"]
    assert {"train", "pipeline", "retrain"} <= set(trigger.match_related["prefect.resource.name"])
    (action,) = AUTOMATIONS[TAKE_UP].actions
    assert isinstance(action, ChangeFlowRunState)
    assert (action.state.value, action.name) == ("SCHEDULED", "AwaitingRetry")
