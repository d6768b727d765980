"""Stop a ModelArts job reliably: it is billed until it stops."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.errors import Transient

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

_TRIES = 4


def stop(client: "ModelArts", name: str, workspace: str, pause: float, sleep: Callable[[float], None]) -> "Job | None":
    """Stop a job by its name; single failed requests, and a job that is not listed yet, are tried again.

    Args:
        client: the API calls.
        name: of the job; its submission may have been interrupted a moment ago.
        workspace: of the job.
        pause: seconds between two tries.
        sleep: waits for seconds.

    Returns:
        The job as it is then: stopped, or in another final phase when it had ended before; None when there is no job.

    Raises:
        Transient: the platform does not answer; the job may still run.
        Refused: the platform does not stop it.
    """
    for last in (number == _TRIES for number in range(1, _TRIES + 1)):
        try:
            found = client.find_by_name(name, workspace)
            if found is not None:
                return found if found.final or found.stopped else client.stop(found.id)
        except Transient:
            if last:
                raise
        if not last:
            sleep(pause)
    return None
