"""Locks across machines: leases of global concurrency limits on the Prefect server that all machines use.

A lock is a limit of one slot. Who holds it renews its lease; who is killed does not, and the server frees the slot
when the lease has run out (`LEASE_SECONDS`, and up to 15 s until the server looks). Releasing deletes the limit while
its only slot is still ours, so that nothing piles up on the server: whoever comes next makes it anew.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from infra.errors import Refused, Transient

# The shortest that Prefect grants.
LEASE_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(30)
_LIMITS = "v2/concurrency_limits"


@dataclass
class _Held:
    """The lease that we have of a limit; another one takes its place when it ran out and the lock was still free."""

    lease: str
    limit: str


class Leases:
    """The locks of one Prefect server.

    Args:
        api: the server's API address.
        headers: how the server knows us.
        pause: seconds between two tries to get a lock that somebody holds.
        renew_seconds: between two renewals of a lease.
        patience: for how many seconds a server that is away is waited for.
    """

    def __init__(
        self,
        api: str,
        headers: Mapping[str, str],
        *,
        pause: float = 2.0,
        renew_seconds: float = LEASE_SECONDS / 3,
        patience: float = LEASE_SECONDS,
    ) -> None:
        self._api = api
        self._headers = dict(headers)
        self._pause = pause
        self._renew_seconds = renew_seconds
        self._patience = patience

    @contextmanager
    def hold(self, name: str, waiting: Callable[[], None]) -> Iterator[bool]:
        """Hold the lock `name` on all machines; yields True when we had to wait for another holder.

        Args:
            name: of the lock, as the server's page of concurrency limits shows it.
            waiting: called once when somebody else holds the lock.

        Raises:
            Transient: the server was away for too long before we held the lock.
            Refused: the server does not grant leases.
        """
        with httpx.Client(base_url=self._api, headers=self._headers, timeout=_TIMEOUT) as client:
            held, waited = self._acquire(client, name, waiting)
            over = threading.Event()
            keeper = threading.Thread(target=self._keep, args=(client, name, held, over), daemon=True)
            keeper.start()
            try:
                yield waited
            finally:
                over.set()
                keeper.join()
                self._release(client, held)

    def _acquire(self, client: httpx.Client, name: str, waiting: Callable[[], None]) -> tuple[_Held, bool]:
        waited = False
        heard = time.monotonic()
        while True:
            try:
                held = self._try(client, name)
                heard = time.monotonic()
            except Transient:
                if time.monotonic() - heard > self._patience:
                    raise
                held = None
            else:
                if held is None and not waited:
                    waited = True
                    waiting()
            if held is not None:
                return held, waited
            time.sleep(self._pause)

    def _try(self, client: httpx.Client, name: str) -> _Held | None:
        """One try: None when somebody else holds the lock."""
        wanted = {"names": [name], "slots": 1, "mode": "concurrency", "lease_duration": LEASE_SECONDS}
        while True:
            answer = _post(client, f"{_LIMITS}/increment-with-lease", wanted, good=(200, 423))
            if answer.status_code == httpx.codes.LOCKED:
                return None
            said = answer.json()
            if said["limits"]:
                return _Held(said["lease_id"], said["limits"][0]["id"])
            # There is no such limit, so the lease is one of nothing. Another machine may make the limit first (409).
            _post(client, f"{_LIMITS}/decrement-with-lease", {"lease_id": said["lease_id"]}, good=(204,))
            _post(client, f"{_LIMITS}/", {"name": name, "limit": 1}, good=(201, 409))

    def _keep(self, client: httpx.Client, name: str, held: _Held, over: threading.Event) -> None:
        """Renew until it is over. A server that is away is asked again; the work goes on, as it may have been paid.

        A lease that ran out while the server was away is asked for anew; when somebody else has the lock by then, the
        work is done twice, and whoever sends it to the mirror first is believed.
        """
        while not over.wait(self._renew_seconds):
            try:
                if not self._renew(client, held):
                    again = self._try(client, name)
                    if again is not None:
                        held.lease, held.limit = again.lease, again.limit
            except (Transient, Refused):
                continue

    def _renew(self, client: httpx.Client, held: _Held) -> bool:
        """False when the lease has run out meanwhile."""
        path = f"{_LIMITS}/leases/{held.lease}/renew"
        return _post(client, path, {"lease_duration": LEASE_SECONDS}, good=(204, 410)).status_code == 204

    def _release(self, client: httpx.Client, held: _Held) -> None:
        """Delete the limit, unless the lease has run out: then somebody else may hold it."""
        try:
            if self._renew(client, held):
                _send(client, "DELETE", f"{_LIMITS}/{held.limit}", None, good=(204, 404))
                _post(client, f"{_LIMITS}/decrement-with-lease", {"lease_id": held.lease}, good=(204,))
        except (Transient, Refused):
            return  # the work is done and kept; the lease of a server that is away runs out by itself


def _post(client: httpx.Client, path: str, body: Mapping[str, Any], good: tuple[int, ...]) -> httpx.Response:
    return _send(client, "POST", path, body, good)


def _send(
    client: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None, good: tuple[int, ...]
) -> httpx.Response:
    where = f"the Prefect server at {client.base_url}, which keeps the locks of all machines,"
    try:
        answer = client.request(method, path, json=body)
    except httpx.HTTPError as error:
        hint = "nothing was begun without its lock; start that server and run again"
        raise Transient(f"{where} does not answer: {error}", hint=hint) from error
    if answer.status_code in good:
        return answer
    text = f"{where} answered {answer.status_code} to {method} {path}"
    if answer.status_code >= 500 or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Transient(text, hint="its log says why")
    raise Refused(text, hint="Prefect 3.4 or later is wanted, and credentials that it takes")
