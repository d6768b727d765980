import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Refused, Transient, UserError
from infra.prefect_server import server as prefect_server
from infra.services import Services
from infra.settings import PrefectSettings


@contextmanager
def answering(status: Any) -> Iterator[Any]:
    """A server of one answer, at a port of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, format: Any, *arguments: Any) -> None:  # noqa: A002 - the library's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def service(tmp_path: Path, **settings: Any) -> Any:
    return prefect_server.service(Services(tmp_path), tmp_path, PrefectSettings(**settings))


def test_the_server_belongs_to_the_home(tmp_path: Path) -> None:
    found = service(tmp_path, port=4321)
    assert found.address == "http://127.0.0.1:4321"
    assert found.environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert found.environment["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert found.command[-2:] == ("--port", "4321")


def test_the_database_is_under_the_home_whatever_the_environment_says(tmp_path: Path) -> None:
    url = service(tmp_path).environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert url == f"sqlite+aiosqlite:///{tmp_path}/prefect/prefect.db"


def test_a_port_is_chosen_once_for_server_and_clients(tmp_path: Path) -> None:
    address = service(tmp_path).address
    assert service(tmp_path).address == address
    environment = prefect_server.environment(Services(tmp_path), tmp_path, PrefectSettings())
    assert environment["PREFECT_API_URL"] == f"{address}/api"


def test_only_who_knows_the_login_of_the_home_gets_in(tmp_path: Path) -> None:
    found = service(tmp_path, port=4321)
    login = prefect_server.login(tmp_path)
    assert login.startswith("atlasflow:")
    assert len(login) > 30
    assert found.environment["PREFECT_SERVER_API_AUTH_STRING"] == login
    assert found.environment["PREFECT_API_AUTH_STRING"] == login
    assert found.environment["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"] == (
        "http://127.0.0.1:4321,http://localhost:4321"
    )
    assert not any(login in word for word in found.command)
    assert login not in repr(found)
    file = tmp_path / "secrets" / "prefect"
    assert file.read_text() == login
    assert str(file) in prefect_server.login_note(Services(tmp_path), tmp_path, PrefectSettings())


def test_nothing_is_told_to_anybody(tmp_path: Path) -> None:
    environment = service(tmp_path).environment
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (404, False)])
def test_it_is_ready_when_it_says_so(tmp_path: Path, status: int, ready: bool) -> None:
    with answering(status) as port:
        assert service(tmp_path, port=port).ready() is ready


def test_a_proxy_of_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with answering(200) as port:
        assert service(tmp_path, port=port).ready()


def test_it_is_not_ready_where_nothing_or_something_else_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            connection = server.accept()[0]
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        assert not service(tmp_path, port=port).ready()
        thread.join()
    assert not service(tmp_path, port=port).ready()


@contextmanager
def outside_server(status: int = 200, body: bytes = b'"3.8.8"', seen: Any = None) -> Iterator[Any]:
    """Something that answers as a Prefect server elsewhere, at the one path that is asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append(self.headers.get("Authorization"))
            self.send_response(status if self.path == "/api/admin/version" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: Any, *arguments: Any) -> None:  # noqa: A002 - the library's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()
        thread.join()


def test_the_server_that_the_environment_names_is_used_and_none_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(tmp_path)
    with outside_server() as api:
        monkeypatch.setenv("PREFECT_API_URL", f"{api}/")
        assert not prefect_server.start(services, tmp_path, PrefectSettings())
        assert prefect_server.outside(services, PrefectSettings()) == api
        environment = prefect_server.environment(services, tmp_path, PrefectSettings())
    assert environment["PREFECT_API_URL"] == api
    assert environment["PREFECT_UI_URL"] == api.removesuffix("/api")
    assert "PREFECT_API_AUTH_STRING" not in environment, "the outside server has a login of its own"
    assert prefect_server.login_note(services, tmp_path, PrefectSettings()) == ""
    assert services.status() == []
    assert services.ports.known() == {}
    assert "not ours" in prefect_server.note(services, PrefectSettings())


@pytest.mark.parametrize("settings", [{}, {"port": 4321}])
def test_our_own_address_in_the_environment_of_what_we_start_is_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    services, wanted = Services(tmp_path), PrefectSettings(**settings)
    api = prefect_server.environment(services, tmp_path, wanted)["PREFECT_API_URL"]
    monkeypatch.setenv("PREFECT_API_URL", api)
    assert prefect_server.outside(services, wanted) is None
    assert prefect_server.note(services, wanted) == ""


def test_an_outside_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = f"http://127.0.0.1:{server.getsockname()[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", api)
    with pytest.raises(Transient, match=f"{api} does not answer: .*refused") as refusal:
        prefect_server.start(Services(tmp_path), tmp_path, PrefectSettings())
    assert "unset PREFECT_API_URL" in refusal.value.hint


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (401, b"", UserError, "refuses us: 401"),
        (404, b"", UserError, "there is no Prefect API"),
        (503, b"", Transient, "answers 503"),
        (200, b"<html>", UserError, "no Prefect server"),
        (200, b'"2.20.0"', Refused, "version 2.20.0"),
    ],
)
def test_an_outside_server_that_is_not_as_wanted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, error: Any, text: str
) -> None:
    with outside_server(status, body) as api:
        monkeypatch.setenv("PREFECT_API_URL", api)
        with pytest.raises(error, match=text):
            prefect_server.start(Services(tmp_path), tmp_path, PrefectSettings())


@pytest.mark.parametrize("api", ["file:///etc/api", "prefect.example/api"])
def test_an_address_that_is_none_of_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", api)
    with pytest.raises(UserError, match="PREFECT_API_URL"):
        prefect_server.start(Services(tmp_path), tmp_path, PrefectSettings())


def test_credentials_are_sent_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:not-for-others")
    with outside_server(403, seen=seen) as api:
        monkeypatch.setenv("PREFECT_API_URL", api)
        with pytest.raises(UserError) as refusal:
            prefect_server.start(Services(tmp_path), tmp_path, PrefectSettings())
    assert seen == ["Basic YWRtaW46bm90LWZvci1vdGhlcnM="]
    assert "not-for-others" not in str(refusal.value)
