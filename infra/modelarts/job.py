"""What the platform says of a job, and of its log, as values of ours (docs/reference/modelarts.md §1.3)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

UNKNOWN = "Unknown"
"""Stands for the phase of a job whose answer does not tell it."""


@dataclass(frozen=True)
class Job:
    """What the platform says of a job.

    Attributes:
        phase: one of modelarts.md §1.3, or `UNKNOWN`.
        final: True when it does not change any more.
        created_ms: when it was created, in milliseconds since 1970.
        queued_ms: from its creation to its start; None before that.
        running_ms: how long it has run.
        tasks: such as `worker-0`.
        exit_code: of the first task that failed; None while unknown.
        message: of that task.
        output: address of its first output channel.
        description: as it was given with the job, or changed later.
    """

    id: str
    name: str
    phase: str
    final: bool
    created_ms: int
    queued_ms: int | None
    running_ms: int
    tasks: tuple[str, ...]
    exit_code: int | None
    message: str
    output: str
    description: str


@dataclass(frozen=True)
class LogPreview:
    """The end of a log: at most 5 MB of text, its bytes, and the bytes of the whole log."""

    content: str
    shown: int
    total: int


def read_job(answer: Any, final_phases: Collection[str]) -> Job:
    """A job of any answer; what the platform leaves out while it creates a job is taken as not yet known.

    Args:
        answer: with `metadata`, and whatever else is there.
        final_phases: the phases that a job does not leave.
    """
    status, metadata = answer.status, answer.metadata
    phase = (status and status.phase) or UNKNOWN
    failed = next((item for item in (status and status.task_statuses) or [] if item.exit_code), None)
    outputs = (answer.algorithm.outputs if answer.algorithm else None) or []
    started = (status and status.start_time) or 0
    started_ms = started if started > 10**11 else started * 1000  # seen in both units
    created = metadata.create_time or 0
    return Job(
        id=metadata.id,
        name=metadata.name,
        phase=phase,
        final=phase in final_phases,
        created_ms=created,
        queued_ms=started_ms - created if started_ms else None,
        running_ms=(status and status.duration) or 0,
        tasks=tuple((status and status.tasks) or ()),
        exit_code=failed.exit_code if failed else None,
        message=(failed.message or "") if failed else "",
        output=outputs[0].remote.obs.obs_url if outputs and outputs[0].remote and outputs[0].remote.obs else "",
        description=metadata.description or "",
    )
