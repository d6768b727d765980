"""Stop a ModelArts job reliably: it is billed until it stops."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.errors import Transient
from infra.retry import retry

if TYPE_CHECKING:
    from infra.modelarts.client import ModelArts
    from infra.modelarts.job import Job


@dataclass(frozen=True)
class _Policy:
    seconds: float
    attempts: int = 4


class _NotListed(Transient):
    """The platform lists no job of this name, or not yet."""


def stop(
    client: "ModelArts", name: str, workspace: str, seconds: float, sleep: Callable[[float], None]
) -> "Job | None":
    """Stop a job by its name; a failed request, and a job that is not listed yet, are tried again.

    Args:
        client: the API calls.
        name: of the job; its submission may have been interrupted a moment ago.
        workspace: of the job.
        seconds: delay before the first retry.
        sleep: waits for seconds.

    Returns:
        The job as it is then: stopped, or in another final phase when it had ended before; None when there is no job.

    Raises:
        Transient: the platform does not answer; the job may still run.
        Refused: the platform does not stop it.
    """

    def attempt() -> "Job":
        found = client.find_by_name(name, workspace)
        if found is None:
            raise _NotListed(f"there is no ModelArts job {name}")
        return found if found.final or found.stopped else client.stop(found.id)

    try:
        return retry(attempt, _Policy(seconds), sleep=sleep)
    except _NotListed:
        return None
