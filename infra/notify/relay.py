"""The relay: a small HTTP server on this machine that the Prefect server's automations call, and that notifies people.

It is a service of its own and not a flow, so that a notification needs no worker: the news may be that the worker has
died. Secrets of the channels stay in its environment and never reach the Prefect server's database. It takes requests
only with the relay's own secret, which the webhook block of the Prefect server has (`infra.notify.service`).
"""

import argparse
import hmac
import json
import sys
import threading
from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import TextIOWrapper

from infra.errors import UserError
from infra.home import home
from infra.notify.channels import senders
from infra.notify.message import Message, message
from infra.notify.outbox import Outbox
from infra.notify.service import authorization
from infra.settings import Settings, load

_LARGEST = 256 * 1024
_REMEMBERED = 1000
_JSON = "application/json"


class Relay(ThreadingHTTPServer):
    """Takes notifications by POST; a thread delivers them.

    Args:
        port: where it listens; 0 takes a free one.
        settings: channels, retries, and the kinds of notification that are wanted.
        outbox: keeps notifications until they are delivered.
        secret: the value of the header `Authorization` that a caller must send.
    """

    daemon_threads = True

    def __init__(self, port: int, settings: Settings, outbox: Outbox, secret: str) -> None:
        super().__init__((settings.notify.relay_host, port), _Handler)
        self.settings = settings
        self.outbox = outbox
        self._secret = secret
        self._arrived = threading.Event()
        self._arrived.set()  # an earlier process may have left some
        self._lock = threading.Lock()
        self._events: deque[str] = deque(maxlen=_REMEMBERED)
        self._delivery = threading.Thread(target=self._deliver, daemon=True)
        self._delivery.start()

    @property
    def delivers(self) -> bool:
        """False when the thread that delivers has ended."""
        return self._delivery.is_alive()

    def knows(self, authorization: str) -> bool:
        """True when a caller has sent the relay's secret."""
        return hmac.compare_digest(authorization.encode(errors="replace"), self._secret.encode())

    def take(self, found: Message) -> bool:
        """Keep a notification for delivery; False when its event was taken before, as the server may act twice."""
        with self._lock:
            if found.event and found.event in self._events:
                return False
            self.outbox.put(found, self.settings.notify.ways())
            self._events.append(found.event)
        self._arrived.set()
        return True

    def _deliver(self) -> None:
        known = senders(self.settings.notify)
        while True:
            self._arrived.wait()
            self._arrived.clear()
            self.outbox.deliver(known, self.settings.retry, lambda line: print(line, flush=True))


class _Handler(BaseHTTPRequestHandler):
    server: Relay

    def do_GET(self) -> None:
        """Report whether it delivers what it takes."""
        if not self._admitted():
            return
        if not self.server.delivers:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"problem": "the delivery thread has ended; see the log"})
            return
        self._answer(HTTPStatus.OK, {"ways": list(self.server.settings.notify.ways())})

    def do_POST(self) -> None:
        """Take a notification."""
        if not self._admitted():
            return
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get_content_type() != _JSON or not 0 < length <= _LARGEST:
            self.close_connection = True
            self._answer(HTTPStatus.BAD_REQUEST, {"problem": f"send {_JSON} of at most {_LARGEST} bytes"})
            return
        try:
            found = message(json.loads(self.rfile.read(length)))
        except (UserError, ValueError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"problem": str(error)})
            return
        wanted = found.kind in self.server.settings.notify.kinds and self.server.take(found)
        self._answer(HTTPStatus.ACCEPTED, {"wanted": wanted})

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        """Log no requests; the delivery thread logs what becomes of each notification."""

    def _admitted(self) -> bool:
        """True when the caller has the secret; answers 401 otherwise."""
        if self.server.knows(self.headers.get("Authorization") or ""):
            return True
        self.close_connection = True
        self._answer(HTTPStatus.UNAUTHORIZED, {"problem": "this relay belongs to somebody else"})
        return False

    def _answer(self, status: HTTPStatus, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", _JSON)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m infra.notify.relay", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that cannot be printed must not end it
    settings = load(arguments.profile, dict(text.split("=", 1) for text in arguments.set))
    secret = authorization(home())["Authorization"]
    with Relay(arguments.port, settings, Outbox(home()), secret) as relay:
        relay.serve_forever()


if __name__ == "__main__":
    main()
