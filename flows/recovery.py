"""Flow runs whose machine died: how the Prefect server notices, and how they get to another worker.

Two automations. The first sees that a run which began no longer beats (`prefect_server.HEARTBEAT_SECONDS`), and says
that it crashed. The second schedules a crashed run again, under the same id, at most `ATTEMPTS` times in all; what it
had finished is found in the receipts. Only runs of deployments: what a person started in a terminal is theirs.
"""

from datetime import timedelta

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from infra.prefect_server import HEARTBEAT_SECONDS

ATTEMPTS = 3
# Three beats, as one may be late on a busy machine; a run that was taken has to begin within as much.
SILENCE = timedelta(seconds=3 * HEARTBEAT_SECONDS)
_RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_OF_DEPLOYMENTS = ResourceSpecification(
    {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"}
)
_ALIVE = ("prefect.flow-run.Pending", "prefect.flow-run.Running", "prefect.flow-run.heartbeat")


def automations() -> tuple[Automation, ...]:
    """What the server has to do for runs that nobody works on any more."""
    return (
        Automation(
            name="AtlasFlow: runs without a heartbeat have crashed",
            description="Their machine or their process is gone.",
            trigger=EventTrigger(
                posture=Posture.Proactive,
                after=set(_ALIVE),
                # Whatever happens to a run is a sign of life, or its end.
                expect={"prefect.flow-run.*"},
                match=_RUNS,
                match_related=_OF_DEPLOYMENTS,
                for_each={"prefect.resource.id"},
                threshold=1,
                within=SILENCE,
            ),
            actions=[
                ChangeFlowRunState(state=StateType.CRASHED, message=f"no sign of life for {SILENCE.seconds} seconds")
            ],
        ),
        Automation(
            name="AtlasFlow: crashed runs are taken up again",
            description="By any worker; stages that were done are reused.",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                expect={"prefect.flow-run.Crashed"},
                match=ResourceSpecification(
                    {
                        "prefect.resource.id": "prefect.flow-run.*",
                        "prefect.run-count": [str(count) for count in range(ATTEMPTS)],
                    }
                ),
                match_related=_OF_DEPLOYMENTS,
                for_each={"prefect.resource.id"},
                threshold=1,
                within=timedelta(0),
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.SCHEDULED, name="AwaitingRetry", message="its machine died; any worker may take it"
                )
            ],
        ),
    )


def ensure() -> None:
    """Make the server have these automations as they are here; one that a person switched off stays off."""
    with get_client(sync_client=True) as client:
        for wanted in automations():
            there = client.read_automations_by_name(wanted.name)
            if there:
                client.update_automation(there[0].id, wanted.model_copy(update={"enabled": there[0].enabled}))
            else:
                client.create_automation(wanted)
