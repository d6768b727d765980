import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infra.health import main


@pytest.fixture
def server() -> Iterator[Any]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 503)
            self.end_headers()

        def log_message(self, format: Any, *arguments: Any) -> None:  # noqa: A002 - the library's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_good_answer_is_good(server: Any) -> None:
    assert main(f"{server}/health") == 0


def test_a_bad_answer_none_and_no_address_are_not(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{server}/other") == 1
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert main(f"http://127.0.0.1:{port}/health") == 1
    assert main("file:///etc/hostname") == 1
    said = capsys.readouterr().err.splitlines()
    assert ["503" in said[0], "refused" in said[1], "protocol" in said[2]] == [True] * 3
