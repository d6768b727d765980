import http.server
import socket
import threading
from contextlib import contextmanager

import pytest

from infra import prefect_server
from infra.services import Services
from infra.settings import PrefectSettings


@contextmanager
def answering(status):
    """A server of one answer, at a port of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, format, *arguments):  # noqa: A002 - the library's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def service(tmp_path, **settings):
    return prefect_server.service(Services(tmp_path), tmp_path, PrefectSettings(**settings))


def test_the_server_belongs_to_the_home(tmp_path):
    found = service(tmp_path, port=4321)
    assert found.address == "http://127.0.0.1:4321"
    assert found.environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert found.environment["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert found.command[-4:] == ("--host", "127.0.0.1", "--port", "4321")


def test_a_port_is_chosen_once_for_server_and_clients(tmp_path):
    address = service(tmp_path).address
    assert service(tmp_path).address == address
    environment = prefect_server.environment(Services(tmp_path), tmp_path, PrefectSettings())
    assert environment["PREFECT_API_URL"] == f"{address}/api"


def test_nothing_is_told_to_anybody(tmp_path):
    environment = service(tmp_path).environment
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (404, False)])
def test_it_is_ready_when_it_says_so(tmp_path, status, ready):
    with answering(status) as port:
        assert service(tmp_path, port=port).ready() is ready


def test_a_proxy_of_the_environment_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(200) as port:
        assert service(tmp_path, port=port).ready()


def test_it_is_not_ready_where_nothing_or_something_else_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet():
            connection = server.accept()[0]
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        assert not service(tmp_path, port=port).ready()
        thread.join()
    assert not service(tmp_path, port=port).ready()
