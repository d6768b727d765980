"""Make sure that a job in phase Abnormal is over before another is paid for.

The documents do not say whether such a job can still run (docs/reference/modelarts.md §1.3).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.errors import Refused, UserError
from infra.modelarts.codes import JobMissing
from infra.modelarts.phases import Phase

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job

_LOOKS = 20


def end(client: "ModelArts", job: "Job", pause: float, sleep: Callable[[float], None]) -> "Job":
    """Stop an abnormal job, and look until it has left the phase or its running time stands still.

    Args:
        client: the API calls.
        job: as it was seen last.
        pause: seconds between two looks.
        sleep: waits for seconds.

    Returns:
        The job as it is then: over.

    Raises:
        Refused: it still runs.
        Transient: the platform does not answer.
    """
    try:
        client.stop(job.id)
    except JobMissing:
        return job
    except (Refused, UserError):  # the platform may refuse to stop what is over, which the running time tells
        pass
    ran = -1
    for _ in range(_LOOKS):
        job = client.show(job.id)
        if job.final and (job.phase != Phase.ABNORMAL or job.running_ms == ran):
            return job
        ran = job.running_ms
        sleep(pause)
    raise Refused(
        f"the ModelArts job {job.name} is {job.phase}, and its running time still grows",
        hint="stop or delete it in the console, since it is billed; then run again",
    )
