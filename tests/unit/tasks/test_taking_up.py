from infra.settings import load
from tasks.automations import ATTEMPTS, CRASH, TAKE_UP, wanted

AUTOMATIONS = {automation.name: automation for automation in wanted(load(), None)}


def test_a_run_that_was_taken_and_never_begun_is_missed_too():
    trigger = AUTOMATIONS[CRASH].trigger
    states = {"heartbeat", "Pending", "Submitting", "InfrastructurePending"}
    assert trigger.after == {f"prefect.flow-run.{state}" for state in states}


def test_only_runs_of_deployments_are_taken_up_again_and_not_for_ever():
    trigger = AUTOMATIONS[TAKE_UP].trigger
    assert trigger.expect == {"prefect.flow-run.Crashed"}
    assert trigger.match["prefect.run-count"] == [str(count) for count in range(ATTEMPTS)]
    assert trigger.match_related["prefect.resource.role"] == ["deployment"]
    (action,) = AUTOMATIONS[TAKE_UP].actions
    assert (action.state.value, action.name) == ("SCHEDULED", "AwaitingRetry")
