"""What another user of the machine and a web page get from the local services: nothing."""

import os
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from infra.services import Services
from tests.e2e.conftest import install
from tests.e2e.installation import COMMAND, Installation

pytestmark = pytest.mark.slow

# Liveness probes, and the files of pages that ask for a login: they say nothing about a home.
OPEN = {
    "prefect": {"/api/health", "/api/ready", "/", "/index.html", "/ui-settings", "/docs", "/openapi.json"},
    "objectstore": {"/healthz", "/status"},
    "objectstore-master": {"/", "/ui/index.html", "/healthz", "/cluster/status"},
    "objectstore-volume": {"/status", "/healthz"},
    "objectstore-filer": {"/healthz"},
    "objectstore-admin": {"/health", "/metrics"},
}
PATHS = {
    "/", "/status", "/healthz", "/health", "/metrics", "/debug/pprof/", "/ui/index.html",
    "/api/health", "/api/ready", "/api/admin/version", "/api/admin/settings", "/api/flows/filter",
    "/api/deployments/filter", "/api/block_documents/filter", "/api/logs/filter", "/api/automations/filter",
    "/ui-settings", "/dir/assign", "/dir/status", "/dir/lookup?volumeId=1", "/col/delete?collection=atlasflow",
    "/vol/vacuum", "/submit", "/cluster/status", "/buckets/", "/buckets/atlasflow/", "/atlasflow",
    "/atlasflow/some/key", "/1,01", "/etc/", "/v3/projects", "/v2/projects/training-jobs", "/login",
}  # fmt: skip
REFUSALS = {*range(400, 500), 501}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, small_archive: Path) -> Iterator[Installation]:
    """A home with every local service that there is, made with an open umask, and `atlasflow serve`."""
    home: Installation = install(
        tmp_path_factory.mktemp("strangers"),
        small_archive,
        ATLASFLOW_TRAIN__TARGET="modelarts",
        ATLASFLOW_OBS__STAND_IN="as-obs",
        ATLASFLOW_NOTIFY__WEBHOOK="http://127.0.0.1:9/path-that-is-a-secret",
    )
    before = os.umask(0)
    try:
        home.atlasflow("up")
        with subprocess.Popen(
            [COMMAND, "serve"],
            cwd=home.elsewhere,
            env=home.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as serving:
            try:
                assert serving.stdout is not None
                assert any("maintenance/maintenance" in line for line in serving.stdout)
                home.serving = serving.pid
                yield home
            finally:
                serving.send_signal(signal.SIGTERM)
    finally:
        os.umask(before)
        home.atlasflow("down")


def listening(home: Installation) -> dict[int, str]:
    """Every TCP port at which a process of the home listens, with the service's name."""
    found = {}
    known = {port: name for name, port in Services(home.folder).ports.known().items()}
    roots = {name: state["pid"] for name, state in home.services().items()} | {"serve": home.serving}
    for name, pid in roots.items():
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            for connection in member.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip == "127.0.0.1", f"{name} listens on {connection.laddr}"
                    port = connection.laddr.port
                    grpc = f"{known[port - 10_000]} gRPC" if port - 10_000 in known else ""
                    found[port] = known.get(port) or grpc or f"unknown: {name} {member.cmdline()}"
    return found


def speaks_http(port: int) -> bool:
    with suppress(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False)
        return True
    return False


def test_who_has_no_secret_gets_nothing_at_any_port(up: Installation) -> None:
    ports = listening(up)
    names = set(ports.values())
    assert not [name for name in names if name.startswith("unknown")]
    assert names >= {"prefect", "objectstore", "notify", "modelarts", "board-laptop", "objectstore-filer gRPC"}
    http = {port: name for port, name in ports.items() if speaks_http(port)}
    assert set(http.values()) >= {"prefect", "objectstore", "objectstore-filer", "objectstore-master", "notify"}
    got = []
    with httpx.Client(trust_env=False, timeout=10) as stranger:
        for port, name in http.items():
            for path in sorted(PATHS - OPEN.get(name, set())):
                for method in ("GET", "POST", "DELETE"):
                    answer = stranger.request(
                        method, f"http://127.0.0.1:{port}{path}", headers={"Origin": "http://evil.example"}
                    )
                    said = f"{name} answered {answer.status_code} to {method} {path}: {answer.text[:60]!r}"
                    page = name == "prefect" and "text/html" in answer.headers.get("content-type", "")
                    if answer.status_code not in REFUSALS and not page:
                        got.append(said)
    assert not got, "\n".join(got)


def test_grpc_wants_a_certificate(up: Installation) -> None:
    ports = [port for port, name in listening(up).items() if name.endswith("gRPC")]
    assert len(ports) == 5, listening(up)
    for port in ports:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain) as connection,
            pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
        ):
            connection.recv(1)
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert plain.recv(1) == b""


def test_a_web_page_gets_nothing_from_the_prefect_server_even_with_its_login(up: Installation) -> None:
    address = up.services()["prefect"]["address"]
    login = httpx.BasicAuth(*up.login().split(":", 1))
    with httpx.Client(base_url=address, auth=login, trust_env=False, timeout=30) as client:
        assert client.get("/api/admin/version").status_code == 200
        foreign = client.get("/api/admin/version", headers={"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers
        own = client.get("/api/admin/version", headers={"Origin": address})
        assert own.headers["access-control-allow-origin"] == address
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
            for path in ("/", "/api/admin/version", "/api/health"):
                assert client.get(path, headers={"Host": host}).status_code == 400


def test_secrets_are_files_for_their_owner_and_nowhere_else(up: Installation) -> None:
    folder = up.folder / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".pub"}
    assert {"prefect", "objectstore", "objectstore-tokens", "objectstore-grpc.key", "notify", "modelarts"} <= set(
        secrets
    )
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in secrets} == {0o600}
    values = [value.removeprefix("atlasflow:").encode() for value in secrets.values()]
    for path in (up.folder / "services").iterdir():
        content = path.read_bytes()
        assert not [path for value in values if value in content], f"a secret is in {path}"
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or []).encode()
        assert not any(value in command for value in values)
    database = b"".join(path.read_bytes() for path in (up.folder / "prefect").glob("prefect.db*"))
    assert not any(value in database for value in values)
    assert not [value for value in values if any(value.decode() in text for text in up.said)]
