"""Concurrency limits of the Prefect server: one for training jobs, one for each board.

A stage holds its slots by a lease, which is renewed while its process lives. The lease of a process that died is
released by the next process on this machine that waits for a slot: the lock on its note is free then. One of another
machine expires on the server after `LEASE_SECONDS`.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectAlreadyExists
from prefect.logging import get_logger
from prefect.runtime import flow_run

from infra.errors import Refused, Transient
from infra.leases import acquire, renewing
from infra.store.locks import hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from prefect.client.orchestration import SyncPrefectClient

    from infra.settings import Settings

TRAINING = "training"
LEASE_SECONDS = 60
"""How long a lease lasts without renewal; the shortest that the server allows."""
RENEW_SECONDS = 20
POLL_SECONDS = 1.0
"""Between two attempts to get a slot."""
_PAGE = 200
_NOTE = ".lease"


def board_limit(name: str) -> str:
    """The name of a board's limit."""
    return f"board:{name}"


def training_limit(settings: Settings) -> dict[str, int]:
    """The limit for training jobs, with its size."""
    return {TRAINING: settings.prefect.training_jobs}


def board_limits(names: Iterable[str]) -> dict[str, int]:
    """The limits for boards: one deployment at a time on each."""
    return {board_limit(name): 1 for name in names}


def ensure(limits: Mapping[str, int]) -> int:
    """Create or update these limits on the server; returns how many changed."""
    with get_client(sync_client=True) as client, _errors_mapped():
        return _ensure(client, limits)


@contextmanager
def holding(limits: Mapping[str, int], home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold one slot of each limit, all or none; a missing limit is created.

    Args:
        limits: name to size.
        home: keeps the notes of this machine's leases.
        say: called once with a sentence when no slot is free.

    Raises:
        Transient: the server did not answer.
        Refused: a limit was set to 0 on the server.
    """
    if not limits:
        yield
        return
    notes = home / "leases"
    with get_client(sync_client=True) as client:
        with _errors_mapped():
            lease, _ = acquire(
                lambda: _request(client, limits, notes),
                pause=POLL_SECONDS,
                on_wait=lambda: say(f"waits for a free slot of {', '.join(limits)}"),
            )
        note = notes / f"{lease}{_NOTE}"
        # The note is locked before it has its name, so that no other process takes it for an abandoned one.
        with hold(note.with_suffix(".new")):
            note.with_suffix(".new").rename(note)
            try:
                with renewing(lambda: _renew(lease), RENEW_SECONDS):
                    yield
            finally:
                _release(client, lease, note)


def _ensure(client: SyncPrefectClient, limits: Mapping[str, int]) -> int:
    there: dict[str, int] = {}
    while page := client.read_global_concurrency_limits(limit=_PAGE, offset=len(there)):
        there |= {found.name: found.limit for found in page}
    changed = {name: size for name, size in limits.items() if there.get(name) != size}
    for name, size in changed.items():
        if name in there:
            client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=size))
            continue
        try:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=size))
        except ObjectAlreadyExists:
            continue  # another process was quicker
    return len(changed)


def _request(client: SyncPrefectClient, limits: Mapping[str, int], notes: Path) -> UUID | None:
    """Ask for one slot of each limit; None when one has no free slot."""
    while True:
        try:
            answer = client.increment_concurrency_slots_with_lease(
                list(limits), 1, "concurrency", LEASE_SECONDS, _holder()
            ).json()
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.LOCKED:
                raise
            if not _release_orphans(client, notes):
                return None
            continue
        lease = UUID(answer["lease_id"])
        absent = limits.keys() - {found["name"] for found in answer["limits"]}
        if not absent:
            return lease
        client.release_concurrency_slots_with_lease(lease)
        _ensure(client, {name: limits[name] for name in absent})


def _holder() -> ConcurrencyLeaseHolder | None:
    return ConcurrencyLeaseHolder(type="flow_run", id=UUID(flow_run.id)) if flow_run.id else None


def _renew(lease: UUID) -> None:
    """Renew a lease. While the server is away the work goes on, and so does the lease if the server returns in time."""
    try:
        with get_client(sync_client=True) as client:
            client.renew_concurrency_lease(lease, LEASE_SECONDS)
    except httpx.HTTPError as error:
        get_logger("atlasflow.limits").warning("the lease %s was not renewed: %s", lease, error)


def _release(client: SyncPrefectClient, lease: UUID, note: Path) -> None:
    """Give the slots back; where the server is away they come back when the lease runs out."""
    try:
        client.release_concurrency_slots_with_lease(lease)
    except httpx.HTTPError as error:
        get_logger("atlasflow.limits").warning("the lease %s was not given back: %s", lease, error)
    note.unlink(missing_ok=True)


def _release_orphans(client: SyncPrefectClient, notes: Path) -> bool:
    """Give back what processes of this machine that have ended still hold; True when there was such a lease."""
    found = False
    for note in notes.glob(f"*{_NOTE}"):
        try:
            with note.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _release(client, UUID(note.stem), note)
                found = True
        except (BlockingIOError, FileNotFoundError):
            continue  # its holder lives, or has just given it back
    return found


@contextmanager
def _errors_mapped() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            hint = "set it to 1 or more on the page Concurrency of the Prefect UI, or `atlasflow up`"
            raise Refused("a concurrency limit of the Prefect server is 0", hint=hint) from error
        raise Transient(f"the Prefect server refused: {error}", hint="`atlasflow doctor` looks at it") from error
    except httpx.HTTPError as error:
        message = f"the Prefect server does not answer: {type(error).__name__}"
        raise Transient(message, hint="`atlasflow up` starts it") from error
