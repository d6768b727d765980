"""Stop a ModelArts job reliably: it is billed until it stops."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infra.errors import AtlasFlowError, Transient
from infra.modelarts.ledger import Ledger
from infra.retry import retry
from infra.settings import ModelArtsSettings

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


def cancel(
    client: "ModelArts",
    ledger: Ledger,
    key: str,
    settings: ModelArtsSettings,
    sleep: Callable[[float], None],
    report: Callable[[str], None],
) -> None:
    """Stop the job that was requested for a key, even if its submission was interrupted; tell what became of it.

    Args:
        client: the API calls.
        ledger: of what was requested.
        key: of the job.
        settings: whether a job is stopped, and how often it is tried.
        sleep: waits for seconds.
        report: receives sentences.
    """
    intent = ledger.read(key)
    if intent is None or intent.settled:
        return
    if not settings.stop_on_cancel:
        report(f"the ModelArts job {intent.name} keeps running, as modelarts.stop_on_cancel is off")
        return
    try:
        stopped = stop(client, intent.name, settings.workspace, settings.poll_seconds, sleep)
    except AtlasFlowError as error:
        report(f"could not stop the ModelArts job {intent.name}, which is still billed: {error.message}")
        return
    if stopped is not None and stopped.stopped:
        ledger.write(replace(intent, id=stopped.id, settled=True))
        report(f"stopped the ModelArts job {intent.name}")
