import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.notify.direct import tell
from infra.notify.message import Message
from infra.notify.outbox import Outbox
from infra.settings import NotifySettings, RetrySettings

MESSAGE = Message("stall", "a subject", "a text", "")
ONCE = RetrySettings(attempts=1)


@pytest.fixture
def received() -> Any:
    """A receiver: its address, and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_people_are_told_by_the_channels_that_are_set(received: Any, tmp_path: Path) -> None:
    address, got = received
    lines: list[str] = []
    tell(MESSAGE, NotifySettings(webhook=SecretStr(address)), ONCE, tmp_path, lines.append)
    assert [item["subject"] for item in got] == ["a subject"]
    assert "took it" in lines[0]


def test_a_kind_that_is_not_wanted_is_not_told_of(received: Any, tmp_path: Path) -> None:
    address, got = received
    tell(MESSAGE, NotifySettings(webhook=SecretStr(address), kinds=("failure",)), ONCE, tmp_path, print)
    tell(MESSAGE, NotifySettings(), ONCE, tmp_path, print)
    assert got == []
    assert not (tmp_path / "notify").exists()


def test_what_cannot_be_delivered_is_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    tell(MESSAGE, NotifySettings(webhook=SecretStr("http://127.0.0.1:1")), ONCE, tmp_path, lines.append)
    assert Outbox(tmp_path).lost() == ["a subject"]
    assert "failed" in lines[0]
