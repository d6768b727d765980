"""Locks across machines: leases of global concurrency limits on the Prefect server that all machines use.

A lock is a limit of one slot. Its holder renews the lease; a killed holder does not, and the server frees the slot
when the lease expires (`LEASE_SECONDS`, and up to 15 s until the server checks). Releasing deletes the limit while
this holder still has its only slot, so that nothing accumulates on the server: the next holder creates it again.

`acquire` and `renewing` are the loop of any lease; `tasks/orchestration/limits.py` uses them, too.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from infra.errors import Refused, Transient

LEASE_SECONDS = 60.0  # the shortest lease that Prefect grants
_TIMEOUT = httpx.Timeout(30)
_LIMITS = "v2/concurrency_limits"


Granted = TypeVar("Granted")


def acquire(
    attempt: Callable[[], Granted | None], *, pause: float, on_wait: Callable[[], None], patience: float = 0.0
) -> tuple[Granted, bool]:
    """Repeat `attempt` until it grants a lease.

    Args:
        attempt: asks the server; None when another holder has the lock.
        pause: seconds between two attempts.
        on_wait: called once when another holder has the lock.
        patience: seconds for which a server that does not answer is asked again.

    Returns:
        What `attempt` granted, and whether it had to wait for another holder.

    Raises:
        Transient: the server did not answer for longer than `patience`.
    """
    waited = False
    answered = time.monotonic()
    while True:
        try:
            granted = attempt()
            answered = time.monotonic()
        except Transient:
            if time.monotonic() - answered >= patience:
                raise
        else:
            if granted is not None:
                return granted, waited
            if not waited:
                waited = True
                on_wait()
        time.sleep(pause)


@contextmanager
def renewing(renew: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `renew` every `seconds` on a thread of its own, in a copy of this context, until the block ends."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            renew()

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@dataclass
class _Held:
    """A lease of a limit; replaced when it expired and the lock was still free."""

    lease: str
    limit: str


class Leases:
    """The locks of one Prefect server.

    Args:
        api: the server's API address.
        headers: credentials for the server.
        pause: seconds between two attempts to get a lock that another holder has.
        renew_seconds: between two renewals of a lease.
        patience: seconds for which a server that does not answer is asked again.
        transport: carries the requests; None for the network.
    """

    def __init__(
        self,
        api: str,
        headers: Mapping[str, str],
        *,
        pause: float = 2.0,
        renew_seconds: float = LEASE_SECONDS / 3,
        patience: float = LEASE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._api = api
        self._headers = dict(headers)
        self._pause = pause
        self._renew_seconds = renew_seconds
        self._patience = patience
        self._transport = transport

    @contextmanager
    def hold(self, name: str, on_wait: Callable[[], None]) -> Iterator[bool]:
        """Hold the lock `name` on all machines; yields True when another holder had it first.

        Args:
            name: of the lock, as the server's page of concurrency limits shows it.
            on_wait: called once when another holder has the lock.

        Raises:
            Transient: the server did not answer for too long before the lock was held.
            Refused: the server does not grant leases.
        """
        with httpx.Client(
            base_url=self._api, headers=self._headers, timeout=_TIMEOUT, transport=self._transport
        ) as client:
            held, waited = acquire(
                lambda: _request(client, name), pause=self._pause, on_wait=on_wait, patience=self._patience
            )
            try:
                with renewing(lambda: _keep(client, name, held), self._renew_seconds):
                    yield waited
            finally:
                _release(client, held)


def _request(client: httpx.Client, name: str) -> _Held | None:
    """Ask for the lock; None when another holder has it."""
    wanted = {"names": [name], "slots": 1, "mode": "concurrency", "lease_duration": LEASE_SECONDS}
    while True:
        answer = _post(client, f"{_LIMITS}/increment-with-lease", wanted, good=(200, 423))
        if answer.status_code == httpx.codes.LOCKED:
            return None
        granted = answer.json()
        if granted["limits"]:
            return _Held(granted["lease_id"], granted["limits"][0]["id"])
        # There is no such limit, so the lease covers nothing. Another machine may create the limit first (409).
        _post(client, f"{_LIMITS}/decrement-with-lease", {"lease_id": granted["lease_id"]}, good=(204,))
        _post(client, f"{_LIMITS}/", {"name": name, "limit": 1}, good=(201, 409))


def _keep(client: httpx.Client, name: str, held: _Held) -> None:
    """Renew a lease. While the server does not answer the work goes on, since it may have been paid.

    A lease that expired while the server was away is requested again. When another holder has the lock by then, the
    work is done twice, and the result that reaches the mirror first counts.
    """
    try:
        if not _renew(client, held):
            again = _request(client, name)
            if again is not None:
                held.lease, held.limit = again.lease, again.limit
    except (Transient, Refused):
        return


def _renew(client: httpx.Client, held: _Held) -> bool:
    """Renew a lease; False when it has expired."""
    path = f"{_LIMITS}/leases/{held.lease}/renew"
    return _post(client, path, {"lease_duration": LEASE_SECONDS}, good=(204, 410)).status_code == 204


def _release(client: httpx.Client, held: _Held) -> None:
    """Delete the limit, unless the lease has expired: another holder may have it then."""
    try:
        if _renew(client, held):
            _send(client, "DELETE", f"{_LIMITS}/{held.limit}", None, good=(204, 404))
            _post(client, f"{_LIMITS}/decrement-with-lease", {"lease_id": held.lease}, good=(204,))
    except (Transient, Refused):
        return  # the work is done and stored; the lease expires on its own


def _post(client: httpx.Client, path: str, body: Mapping[str, Any], good: tuple[int, ...]) -> httpx.Response:
    return _send(client, "POST", path, body, good)


def _send(
    client: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None, good: tuple[int, ...]
) -> httpx.Response:
    where = f"the Prefect server at {client.base_url}, which holds the locks of all machines,"
    try:
        answer = client.request(method, path, json=body)
    except httpx.HTTPError as error:
        hint = "nothing was started without its lock; start that server and run again"
        raise Transient(f"{where} does not answer: {error}", hint=hint) from error
    if answer.status_code in good:
        return answer
    text = f"{where} answered {answer.status_code} to {method} {path}"
    if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Transient(text, hint="see its log")
    raise Refused(text, hint="Prefect 3.4 or later is required, and valid credentials")
