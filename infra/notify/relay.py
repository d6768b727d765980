"""The relay: a small HTTP server on this machine that the Prefect server's automations call, and that tells people.

It runs beside the Prefect server and not as a flow, so that a notification needs no worker: the news may be that the
worker has died. Secrets stay in its environment and never reach the Prefect server's database.
"""

import argparse
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
from infra.settings import Settings, load

_LARGEST = 256 * 1024
_REMEMBERED = 1000
_JSON = "application/json"


class Relay(ThreadingHTTPServer):
    """Takes notifications by POST and hands them to a thread that tells them."""

    daemon_threads = True

    def __init__(self, port: int, settings: Settings, outbox: Outbox) -> None:
        super().__init__((settings.notify.relay_host, port), _Handler)
        self.settings = settings
        self.outbox = outbox
        self.news = threading.Event()
        self.news.set()  # what an earlier process left
        self._taking = threading.Lock()
        self._events: deque[str] = deque(maxlen=_REMEMBERED)
        self._teller = threading.Thread(target=self._tell, daemon=True)
        self._teller.start()

    @property
    def telling(self) -> bool:
        """False when nothing that it takes would be told any more."""
        return self._teller.is_alive()

    def take(self, found: Message) -> bool:
        """Keep a notification until it is told; False when its event was taken before, as the server may act twice."""
        with self._taking:
            if found.event and found.event in self._events:
                return False
            self.outbox.put(found, self.settings.notify.ways())
            self._events.append(found.event)
        self.news.set()
        return True

    def _tell(self) -> None:
        known = senders(self.settings.notify)
        while True:
            self.news.wait()
            self.news.clear()
            self.outbox.deliver(known, self.settings.retry, lambda line: print(line, flush=True))


class _Handler(BaseHTTPRequestHandler):
    server: Relay

    def do_GET(self) -> None:
        """Answer whether it tells what it takes."""
        if not self.server.telling:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"problem": "the thread that tells has ended; see the log"})
            return
        self._answer(HTTPStatus.OK, {"ways": list(self.server.settings.notify.ways())})

    def do_POST(self) -> None:
        """Take a notification. Web pages cannot send this content type to another origin, so only programs get in."""
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
        """Say nothing; what becomes of notifications is said by the thread that tells them."""

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
        sys.stdout.reconfigure(errors="backslashreplace")  # no name that it tells of may end it
    settings = load(arguments.profile, dict(text.split("=", 1) for text in arguments.set))
    with Relay(arguments.port, settings, Outbox(home())) as relay:
        relay.serve_forever()


if __name__ == "__main__":
    main()
