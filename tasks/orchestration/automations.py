"""Automations of the Prefect server: notifications, and marking runs without a sign of life as crashed.

They have fixed names; `establish` creates what is missing, updates what differs and removes duplicates.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.types import SecretDict
from pydantic import SecretStr

from infra.errors import Transient
from infra.store.locks import hold
from tasks.orchestration.events import FELL_BACK, PROMOTED, STOPPED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient

    from infra.settings import Settings

BLOCK = "atlasflow-notifications"
CRASH = "AtlasFlow: runs that are not heard of have crashed"
TAKE_UP = "AtlasFlow: crashed runs are taken up again"
ATTEMPTS = 3
"""How often a run starts at most when its machines die."""
ONCE_IN = timedelta(minutes=10)
"""A run that crashes again within this time stays crashed: its machine was not the cause."""
SIGNS = ("Pending", "Submitting", "InfrastructurePending", "Running", "Retrying", "heartbeat")
"""Events of a run that another event must follow: from the moment a worker takes the run to its last heartbeat.

All of them name the run's flow; those of pull steps do not (Prefect 3.8), so they neither start nor end a watch.
"""
ENDED_BADLY = ("Failed", "Crashed", STOPPED)
FAILURE = "AtlasFlow: tell of failed runs"
PROMOTION = "AtlasFlow: tell of a new champion"
FALLBACK = "AtlasFlow: tell of a board that fell back"
NOTIFICATIONS = (FAILURE, PROMOTION, FALLBACK)
TAGS = ["atlasflow"]
_PAGE = 200

# The server fills these in; `tojson` quotes whatever a run or an event contains. The event's id lets the relay drop
# duplicates: the server acts on an event at least once (seen with Prefect 3.8 on SQLite), not exactly once.
_SAME = {"event": "{{ event.id | string | tojson }}"}
_RUN = _SAME | {
    "name": "{{ flow_run.name | default('', true) | tojson }}",
    "state": "{{ flow_run.state.name | default('', true) | tojson }}",
    "message": "{{ flow_run.state.message | default('', true) | tojson }}",
    "address": "{{ flow_run | ui_url | default('', true) | tojson }}",
}
_EVENT = _SAME | {
    "resource": "{{ event.resource['prefect.resource.name'] | default('', true) | tojson }}",
    "payload": "{{ event.payload | default('', true) | tojson }}",
}


@dataclass(frozen=True)
class RelayAddress:
    """Where the relay of notifications listens, and the headers that it wants."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def establish(
    settings: Settings, home: Path, relay: RelayAddress | None, flows: Collection[str], *, shared: bool
) -> int:
    """Create and update our automations on the server as the settings say; returns how many changed. Idempotent.

    Args:
        settings: which notifications are wanted, and when a run counts as crashed.
        home: two processes of one home take turns.
        relay: of notifications; None if no channel is set.
        flows: names of our flows, which are those of their deployments; runs of other flows are left alone.
        shared: the server belongs to several machines: without a relay here, another machine's stays in charge.

    Raises:
        Transient: the server does not answer.
    """
    try:
        with hold(home / "locks" / "automations"), get_client(sync_client=True) as client:
            wishes = wanted(settings, _block(relay) if relay else None, flows)
            return _reconcile(client, wishes, spared=NOTIFICATIONS if shared and not relay else ())
    except httpx.HTTPError as error:
        message = f"the Prefect server did not take the automations: {type(error).__name__}"
        raise Transient(message, hint="`atlasflow doctor` looks at it") from error


def wanted(settings: Settings, block: UUID | None, flows: Collection[str]) -> list[AutomationCore]:
    """The automations; notifications are among them only with a webhook block to call."""
    found = [crash(settings.prefect.crashed_seconds, flows), take_up(flows)]
    if block is None:
        return found
    notifications = {
        "failure": (FAILURE, {f"prefect.flow-run.{name}" for name in ENDED_BADLY}, _RUN, _named("flow", flows)),
        "promotion": (PROMOTION, {PROMOTED}, _EVENT, {}),
        "fallback": (FALLBACK, {FELL_BACK}, _EVENT, {}),
    }
    # Whoever watches a job tells of its stall directly (`infra/notify/direct.py`): it is no event of the server.
    kinds = [kind for kind in settings.notify.kinds if kind in notifications]
    return found + [_notify(block, kind, *notifications[kind]) for kind in kinds]


def _named(role: str, names: Collection[str]) -> dict[str, str | list[str]]:
    """Match events that name a resource in this role by one of the names; the server treats them as patterns."""
    return {"prefect.resource.role": role, "prefect.resource.name": sorted(names)}


def crash(seconds: float, flows: Collection[str]) -> AutomationCore:
    """Mark a run of these flows as crashed when no event follows its last one for some seconds.

    This also catches a run that a worker took but did not start before it died.
    """
    return AutomationCore(
        name=CRASH,
        description=f"Its process is gone when nothing was heard of it for {seconds:g} s.",
        enabled=True,
        tags=TAGS,
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=_named("flow", flows),
            for_each={"prefect.resource.id"},
            after={f"prefect.flow-run.{name}" for name in SIGNS},
            expect={"prefect.flow-run.*"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=seconds),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"Nothing was heard of this run for {seconds:g} s: its process is gone.",
            )
        ],
    )


def take_up(deployments: Collection[str]) -> AutomationCore:
    """Reschedule a crashed run of these deployments under the same id: receipts keep what it finished.

    A run without a deployment was started at a terminal, where a person sees that it ended.
    """
    return AutomationCore(
        name=TAKE_UP,
        description=f"By any worker, once in {ONCE_IN.seconds // 60} minutes, until it has begun {ATTEMPTS} times.",
        enabled=True,
        tags=TAGS,
        trigger=EventTrigger(
            match={
                "prefect.resource.id": "prefect.flow-run.*",
                "prefect.run-count": [str(count) for count in range(ATTEMPTS)],
            },
            match_related=_named("deployment", deployments),
            for_each={"prefect.resource.id"},
            expect={"prefect.flow-run.Crashed"},
            posture=Posture.Reactive,
            threshold=1,
            within=ONCE_IN,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name="AwaitingRetry", message="Its machine died; any worker may take it up."
            )
        ],
    )


def _notify(
    block: UUID, kind: str, name: str, events: set[str], template: dict[str, str], of: dict[str, str | list[str]]
) -> AutomationCore:
    fields = [f'"kind": {json.dumps(kind)}', *(f'"{field}": {value}' for field, value in template.items())]
    return AutomationCore(
        name=name,
        description="Calls AtlasFlow's relay, which tells people in the ways that the settings [notify] say.",
        enabled=True,
        tags=TAGS,
        trigger=EventTrigger(
            match_related=of, expect=events, posture=Posture.Reactive, threshold=1, within=timedelta(0)
        ),
        actions=[CallWebhook(block_document_id=block, payload="{" + ", ".join(fields) + "}")],
    )


def _block(relay: RelayAddress) -> UUID:
    """The webhook block by which the server calls the relay; the server encrypts it."""
    headers = SecretDict({"Content-Type": "application/json", **relay.headers})
    block = Webhook(method="POST", url=SecretStr(relay.url), headers=headers)
    identifier: UUID = block.save(BLOCK, overwrite=True)  # type: ignore[assignment]  # no coroutine outside a loop
    return identifier


def _reconcile(client: SyncPrefectClient, automations: list[AutomationCore], *, spared: Collection[str] = ()) -> int:
    """Create, update and delete; unwanted automations named in `spared` stay."""
    ours = [found for found in client.read_automations(limit=_PAGE) if set(TAGS) <= set(found.tags)]
    changed = 0
    for wish in automations:
        existing = [found for found in ours if found.name == wish.name]
        if not existing:
            client.create_automation(wish)
            changed += 1
        elif _values(existing[0]) != _values(wish):
            client.update_automation(existing[0].id, wish)
            changed += 1
    kept = {wish.name for wish in automations} | set(spared)
    seen: set[str] = set()
    for found in ours:
        if found.name not in kept or found.name in seen:
            client.delete_automation(found.id)
            changed += 1
        seen.add(found.name)
    return changed


def _values(automation: AutomationCore) -> dict[str, Any]:
    """The fields of an automation, without those that the server adds."""
    fields = automation.model_dump(mode="json", include=set(AutomationCore.model_fields) - {"owner_resource"})
    for name in ("expect", "after", "for_each"):
        fields["trigger"][name] = sorted(fields["trigger"][name])
    return fields
