"""Stop a ModelArts job for certain: it costs money until it has heard of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.errors import Transient

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

_TRIES = 4
STOPPED = ("Terminating", "Terminated")


def stop(client: "ModelArts", name: str, workspace: str, pause: float, sleep: Callable[[float], None]) -> "Job | None":
    """Stop a job by its name, whatever happens to single answers.

    Args:
        client: the calls of the platform.
        name: of the job; it may have been submitted a moment ago, with the answer lost.
        workspace: where it is.
        pause: seconds between two tries.
        sleep: waits.

    Returns:
        The job as it is then: in one of `STOPPED`, or in another final phase when it had ended before; None when
        there is none.

    Raises:
        Transient: the platform does not answer, so that the job may go on.
        Refused: the platform does not stop it.
    """
    for last in (number == _TRIES for number in range(1, _TRIES + 1)):
        try:
            found = next((job for job in client.find(name, workspace) if job.name == name), None)
            if found is not None:
                return found if found.final or found.phase in STOPPED else client.stop(found.id)
        except Transient:
            if last:
                raise
        if not last:
            sleep(pause)
    return None
