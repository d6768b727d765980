"""The log of a job: its lines while it runs, and the whole file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, UserError
from infra.faults import NO_FAULTS
from infra.modelarts.job import Job
from infra.modelarts.watch import Watcher, job_error
from infra.obs.address import ObjectAddress
from infra.ports.storage import ObjectStore
from infra.ports.training import Epoch, TrainEvent
from infra.ports.values import OnLine
from infra.store.atomic import write_text

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts


def event_line(event: TrainEvent) -> str:
    """Return an event as the line of text that it is."""
    return f"epoch {event.epoch}/{event.epochs}: loss {event.loss:.4f}" if isinstance(event, Epoch) else event.text


def follow(client: "ModelArts", job: Job, on_line: OnLine, seconds: float) -> AtlasFlowError | None:
    """Report the lines of a job's log, and the changes of its phase, until it ends.

    Args:
        client: the API calls.
        job: to follow; a final one reports what its log holds.
        on_line: receives each line.
        seconds: between two polls; grows to six times that while nothing changes.

    Returns:
        The error that the job ended with; None for success.
    """
    watcher = Watcher(client, lambda event: on_line(event_line(event)), seconds, NO_FAULTS)
    ended, log = watcher.watch(job)
    return job_error(client, ended, log)


def save(client: "ModelArts", job: Job, target: Path, open_bucket: Callable[[str], ObjectStore]) -> None:
    """Write the log of a job's first task to a file: the exported one, or what the platform shows while it runs.

    Raises:
        UserError: there is none yet, or only its end can be read.
    """
    folder = client.configuration(job.id).log
    if folder and job.tasks:
        bucket, prefix = ObjectAddress.parse_folder(folder).parts
        key, store = f"{prefix}/modelarts-job-{job.id}-{job.tasks[0]}.log", open_bucket(bucket)
        if store.head(key) is not None:
            store.get(key, target)
            return
    preview = client.preview(job.id, job.tasks[0]) if job.tasks else None
    if preview is None:
        raise missing(job)
    if preview.shown < preview.total:
        raise UserError(
            f"of the {preview.total:,} bytes of the log of {job.name}, the platform shows the last {preview.shown:,}",
            hint="the whole log is exported to object storage when the job ends",
        )
    write_text(target, preview.content)


def missing(job: Job) -> UserError:
    """Return the error for a log that is not there yet."""
    return UserError(f"the log of {job.name} is not ready", hint="it appears a while after the start of the job")
