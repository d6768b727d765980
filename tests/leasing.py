"""A double of Prefect's global concurrency limits with leases, over HTTP, with a clock of its own."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PREFIX = "/api/v2/concurrency_limits"


class Limits:
    """The limits and leases; `pass_time` lets leases run out, and `away` makes every answer an error 503."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.limits: dict[str, dict[str, Any]] = {}  # id → {name, limit, active}
        self.leases: dict[str, tuple[list[str], float]] = {}  # lease → (limit ids, when it ends)
        self.now = 0.0
        self.away = False
        self.renewals = 0
        self.authorization: set[str | None] = set()
        self.reached = threading.Condition(self.lock)

    def names(self) -> Any:
        with self.lock:
            return sorted(limit["name"] for limit in self.limits.values())

    def pass_time(self, seconds: Any) -> None:
        with self.lock:
            self.now += seconds
            for lease in [key for key, (_, end) in self.leases.items() if end <= self.now]:
                self._give_back(lease)

    def wait_until(self, condition: Any) -> None:
        with self.reached:
            assert self.reached.wait_for(condition, timeout=30)

    def answer(self, method: Any, path: Any, body: Any) -> Any:
        with self.lock:
            try:
                return (503, None) if self.away else self._answer(method, path.removeprefix(PREFIX), body)
            finally:
                self.reached.notify_all()

    def _answer(self, method: Any, path: Any, body: Any) -> Any:
        if method == "DELETE":
            return 204 if self.limits.pop(path.strip("/"), None) else 404, None
        if method == "PATCH":
            (found,) = (limit for limit in self.limits.values() if limit["name"] == path.strip("/"))
            found["limit"] = body["limit"]
            return 204, None
        known = {
            "/": self._create,
            "/filter": self._page,
            "/increment-with-lease": self._increment,
            "/decrement-with-lease": self._decrement,
        }
        if path in known:
            return known[path](body)
        if path.startswith("/leases/") and path.endswith("/renew"):
            return self._renew(path.split("/")[2], body)
        return 405, None

    def _create(self, body: Any) -> Any:
        if any(limit["name"] == body["name"] for limit in self.limits.values()):
            return 409, None
        key = str(uuid.uuid4())
        self.limits[key] = {"name": body["name"], "limit": body["limit"], "active": 0}
        return 201, {"id": key}

    def _page(self, body: Any) -> Any:
        limits = [
            {"id": key, "name": limit["name"], "limit": limit["limit"], "active_slots": limit["active"]}
            for key, limit in self.limits.items()
        ]
        same = {"active": True, "slot_decay_per_second": 0.0, "created": None, "updated": None}
        return 200, [{**same, **limit} for limit in limits[body["offset"] :][: body["limit"]]]

    def _increment(self, body: Any) -> Any:
        assert body["lease_duration"] >= 60
        found = {key: limit for key, limit in self.limits.items() if limit["name"] in body["names"]}
        if any(limit["limit"] < body["slots"] for limit in found.values()):
            return 422, {"detail": "Slots requested is greater than the limit"}
        if any(limit["active"] + body["slots"] > limit["limit"] for limit in found.values()):
            return 423, None
        for limit in found.values():
            limit["active"] += body["slots"]
        lease = str(uuid.uuid4())
        self.leases[lease] = (list(found), self.now + body["lease_duration"])
        limits = [{"id": key, "name": limit["name"], "limit": limit["limit"]} for key, limit in found.items()]
        return 200, {"lease_id": lease, "limits": limits}

    def _decrement(self, body: Any) -> Any:
        self._give_back(body["lease_id"])
        return 204, None

    def _renew(self, lease: Any, body: Any) -> Any:
        if lease not in self.leases:
            return 410, None
        self.renewals += 1
        self.leases[lease] = (self.leases[lease][0], self.now + body["lease_duration"])
        return 204, None

    def _give_back(self, lease: Any) -> None:
        for key in self.leases.pop(lease, ((), 0))[0]:
            if key in self.limits:
                self.limits[key]["active"] -= 1


@contextmanager
def serving() -> Iterator[Any]:
    """Yields the limits, and the address of the API."""
    limits = Limits()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            limits.authorization.add(self.headers.get("Authorization"))
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, said = limits.answer(self.command, self.path, body)
            content = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_DELETE = do_PATCH = do_POST  # noqa: N815 - the library's names

        def log_message(self, format: Any, *arguments: Any) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield limits, f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()
