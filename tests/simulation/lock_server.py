"""The leases of a Prefect server, as `infra/leases.py` uses them (Prefect 3: global concurrency limits)."""

import json
from dataclasses import dataclass, field

import httpx

from tests.simulation.kernel import Kernel
from tests.simulation.network import Lost, Network

CHECK_SECONDS = 15.0


@dataclass
class _Limit:
    id: str
    name: str
    slots: int
    leases: set[str] = field(default_factory=set)


class LockServer(httpx.BaseTransport):
    """Answers the requests of `Leases`; an expired lease is freed when the server looks, every 15 s."""

    def __init__(self, kernel: Kernel, network: Network) -> None:
        self._kernel = kernel
        self._network = network
        self._limits: dict[str, _Limit] = {}
        self._expiry: dict[str, float] = {}
        self._count = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"{}")
        path = request.url.path.partition("/v2/concurrency_limits/")[2]
        try:
            status, answer = self._network.call("locks", lambda: self._answer(request.method, path, body))
        except Lost as error:
            raise httpx.ReadTimeout("no answer", request=request) from error
        return httpx.Response(status, json=answer, request=request)

    def _answer(self, method: str, path: str, body: dict[str, object]) -> tuple[int, object]:
        self._expire()
        if method == "DELETE":
            found = [name for name, limit in self._limits.items() if limit.id == path]
            for name in found:
                del self._limits[name]
            return (204 if found else 404), None
        if path == "increment-with-lease":
            return self._grant(body)
        if path == "decrement-with-lease":
            self._free(str(body["lease_id"]))
            return 204, None
        if path.startswith("leases/"):
            lease = path.split("/")[1]
            if lease not in self._expiry:
                return 410, None
            self._expiry[lease] = self._kernel.now + _seconds(body)
            return 204, None
        return self._create(str(body["name"]), body["limit"])

    def _create(self, name: str, slots: object) -> tuple[int, object]:
        if name in self._limits:
            return 409, None
        assert isinstance(slots, int)
        self._limits[name] = _Limit(self._new_id(), name, slots)
        return 201, None

    def _grant(self, body: dict[str, object]) -> tuple[int, object]:
        names = body["names"]
        assert isinstance(names, list)
        limits = [self._limits[name] for name in names if name in self._limits]
        if any(len(limit.leases) >= limit.slots for limit in limits):
            return 423, None
        lease = self._new_id()
        self._expiry[lease] = self._kernel.now + _seconds(body)
        for limit in limits:
            limit.leases.add(lease)
        return 200, {"lease_id": lease, "limits": [{"id": limit.id} for limit in limits]}

    def _expire(self) -> None:
        for lease, end in list(self._expiry.items()):
            if end + CHECK_SECONDS * (int(lease[3:]) % 7 / 7) < self._kernel.now:
                self._free(lease)

    def _free(self, lease: str) -> None:
        self._expiry.pop(lease, None)
        for limit in self._limits.values():
            limit.leases.discard(lease)

    def _new_id(self) -> str:
        self._count += 1
        return f"id-{self._count}"


def _seconds(body: dict[str, object]) -> float:
    seconds = body["lease_duration"]
    assert isinstance(seconds, float)
    return seconds
