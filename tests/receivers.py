"""What notifications are sent to in tests: a web server and a mail server on 127.0.0.1 that remember what they got."""

import base64
import json
import queue
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Web:
    """A web server that takes what is posted.

    Attributes:
        address: its address, with a path that is a secret.
        got: (path, headers, JSON body) of each request, in a queue.
        statuses: what it answers with, in turn; afterwards 200.
        headers: what it says besides.
    """

    address: str
    got: queue.Queue[tuple[str, dict[str, str], Any]] = field(default_factory=queue.Queue)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def web() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            here.got.put((self.path, dict(self.headers), body))
            self.send_response(here.statuses.pop(0) if here.statuses else 200)
            for name, value in {"Content-Length": "0", **here.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: Any, *arguments: Any) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, running(server):
        here = Web(f"http://127.0.0.1:{server.server_port}/path-that-is-a-secret")
        yield here


@dataclass
class Post:
    """A mail server.

    Attributes:
        port: where it listens.
        got: (user and password, receivers, mail) of each delivery, in a queue.
        refuses: its answer to a mail, instead of taking it.
    """

    port: int
    got: queue.Queue[tuple[tuple[str, ...] | None, list[str], Any]] = field(default_factory=queue.Queue)
    refuses: str = ""


class PostServer(socketserver.ThreadingTCPServer):
    here: Post


class PostHandler(socketserver.StreamRequestHandler):
    """One conversation of a mail server; a command that it does not know is fine with it."""

    def handle(self) -> None:
        login: tuple[str, ...] | None = None
        receivers: list[str] = []
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            command = line.upper()
            if command.startswith("EHLO"):
                self.say("250-here", "250 AUTH PLAIN")
            elif command.startswith("AUTH PLAIN"):
                login = tuple(base64.b64decode(line.split()[2]).decode().split("\0")[1:])
                self.say("235 welcome")
            elif command == "DATA":
                self.take(login, receivers)
            else:
                if command.startswith("RCPT TO:"):
                    receivers.append(line[8:].strip("<>"))
                self.say("221 bye" if command == "QUIT" else "250 yes")

    def take(self, login: tuple[str, ...] | None, receivers: list[str]) -> None:
        assert isinstance(self.server, PostServer)
        here = self.server.here
        self.say(here.refuses or "354 go on")
        if here.refuses:
            return
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        here.got.put((login, receivers, message_from_bytes(b"".join(lines), policy=policy.default)))
        self.say("250 taken")

    def say(self, *lines: Any) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def post() -> Iterator[Any]:
    with PostServer(("127.0.0.1", 0), PostHandler) as server, running(server):
        server.here = Post(server.server_address[1])
        yield server.here


@contextmanager
def running(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
