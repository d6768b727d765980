"""Jobs and logs as the platform reports them, as typed values (docs/reference/modelarts.md §1.3)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from infra.modelarts.phases import STOPPED_PHASES, Phase


@dataclass(frozen=True)
class Job:
    """One job as the platform reports it.

    Attributes:
        final: True when the job no longer changes.
        created_ms: creation time, in milliseconds since 1970.
        queued_ms: from creation to start; None before the start.
        running_ms: running time so far.
        tasks: such as `worker-0`.
        exit_code: of the first task that failed; None while unknown.
        message: of that task.
        output: address of the first output channel.
        description: the current one; it can be changed after creation.
    """

    id: str
    name: str
    phase: Phase
    final: bool
    created_ms: int
    queued_ms: int | None
    running_ms: int
    tasks: tuple[str, ...]
    exit_code: int | None
    message: str
    output: str
    description: str

    @property
    def stopped(self) -> bool:
        """True when the job was stopped by a request, or is stopping."""
        return self.phase in STOPPED_PHASES


@dataclass(frozen=True)
class LogPreview:
    """The end of a log: at most 5 MB of text, the bytes in it, and the bytes of the whole log."""

    content: str
    shown: int
    total: int


def read_job(answer: Any, final_phases: Collection[Phase]) -> Job:
    """Read a job from an SDK response; fields that the platform omits during creation read as unknown.

    Args:
        answer: an SDK model with `metadata`, and possibly `status` and `algorithm`.
        final_phases: the phases that a job does not leave.

    Raises:
        TypeError, ValueError, AttributeError: a field has another type than the SDK declares.
    """
    status, metadata = answer.status, answer.metadata
    phase = Phase((status and status.phase) or Phase.UNKNOWN)
    failed = next((item for item in (status and status.task_statuses) or [] if item.exit_code), None)
    outputs = (answer.algorithm.outputs if answer.algorithm else None) or []
    started = _whole(status and status.start_time)
    started_ms = started if started > 10**11 else started * 1000  # the platform uses both units
    created = _whole(metadata.create_time)
    return Job(
        id=metadata.id,
        name=metadata.name,
        phase=phase,
        final=phase in final_phases,
        created_ms=created,
        queued_ms=started_ms - created if started_ms else None,
        running_ms=_whole(status and status.duration),
        tasks=tuple(str(task) for task in (status and status.tasks) or ()),
        exit_code=failed.exit_code if failed else None,
        message=(failed.message or "") if failed else "",
        output=outputs[0].remote.obs.obs_url if outputs and outputs[0].remote and outputs[0].remote.obs else "",
        description=metadata.description or "",
    )


def _whole(value: object) -> int:
    """Return a whole number, 0 for an absent one."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value
