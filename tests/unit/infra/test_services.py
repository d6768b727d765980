import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.errors import Refused, Transient
from infra.processes import answers
from infra.services import Service, Services

LISTEN = """
import os, signal, socket, sys, time
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", os.environ.get("SECRET_OF_THE_TEST", ""), flush=True)
while True:
    server.accept()[0].close()
"""

SLOW_LISTENER = """
import socket, sys, time
time.sleep(0.5)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Any]:
    found = Services(tmp_path / "home")
    yield found
    for status in found.status():
        found.stop(status.name)


def listener(services: Any, name: str = "listener", *, stubborn: bool = False, **changes: Any) -> Any:
    port = services.port(name)
    command = (sys.executable, "-c", LISTEN, str(port), *(["stubborn"] if stubborn else []))
    values = {
        "command": command,
        "address": f"http://127.0.0.1:{port}",
        "port": port,
        "ready": lambda: True,
        "rebuild": lambda: listener(services, name, stubborn=stubborn, **changes),
        "stop_seconds": 5,
        **changes,
    }
    return Service(name, f"the {name}", **values)


def test_a_service_starts_once_is_found_again_and_stops(services: Any, tmp_path: Path) -> None:
    service = listener(services)
    assert services.start(service)
    assert not services.start(service)
    assert not Services(tmp_path / "home").start(service), "another invocation finds it"
    (status,) = services.status()
    assert (status.name, status.title, status.running) == ("listener", "the listener", True)
    assert status.memory > 1e6
    assert services.stop("listener")
    assert not psutil.pid_exists(status.pid)
    assert not answers(services.port("listener"))
    assert not services.stop("listener")
    assert not services.status()[0].running


def test_a_service_that_ignores_the_request_to_end_is_killed(services: Any) -> None:
    services.start(listener(services, stubborn=True, stop_seconds=0.2))
    pid = services.status()[0].pid
    assert services.stop("listener")
    assert not psutil.pid_exists(pid)


def test_a_service_that_was_killed_is_started_again(services: Any) -> None:
    service = listener(services)
    services.start(service)
    os.kill(services.status()[0].pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while services.status()[0].running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert services.start(service)
    assert answers(services.port("listener"))


def test_a_process_id_that_was_given_away_anew_is_not_ours(services: Any) -> None:
    services.start(listener(services))
    path = services.folder / "listener.json"
    ours = json.loads(path.read_text())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        path.write_text(json.dumps(ours | {"pid": stranger.pid, "created": ours["created"] - 60}))
        assert not services.stop("listener")
        assert stranger.poll() is None
        assert stranger.stdin is not None
        stranger.stdin.close()
    path.write_text(json.dumps(ours))


def test_a_service_that_ends_at_once_is_an_error_that_quotes_its_log(services: Any) -> None:
    command = (sys.executable, "-c", "print('the port is taken'); raise SystemExit(3)")
    with pytest.raises(Transient, match="the listener ended while starting") as caught:
        services.start(listener(services, command=command))
    assert "the port is taken" in caught.value.hint
    assert not services.status()[0].running


def test_a_service_that_never_answers_is_ended(services: Any) -> None:
    with pytest.raises(Transient, match=r"did not answer at http://127\.0\.0\.1"):
        services.start(listener(services, ready=lambda: False, start_seconds=0.3))
    assert not services.status()[0].running


def test_a_port_that_another_program_took_is_replaced(services: Any) -> None:
    service = listener(services)
    first = services.port("listener")
    further = services.port("listener-further")
    with (
        socket.create_server(("127.0.0.1", first)) as other,
        socket.create_server(("127.0.0.1", further)),
    ):
        assert services.start(service)
        second = services.port("listener")
        assert second != first
        assert services.port("listener-further") != further
        assert services.address("listener") == f"http://127.0.0.1:{second}"
        assert answers(second)
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()


def test_a_port_that_a_setting_fixes_is_not_replaced(services: Any) -> None:
    service = listener(services, rebuild=None)
    with (
        socket.create_server(("127.0.0.1", service.port)),
        pytest.raises(Refused, match=f"another program listens at port {service.port}"),
    ):
        services.start(service)
    assert services.status() == []
    assert services.start(service)


def test_the_port_of_another_service_with_a_longer_name_stays(services: Any) -> None:
    services.start(listener(services, "listener-front"))
    front = services.port("listener-front")
    services.start(listener(services))
    assert services.port("listener-front") == front


def test_a_service_that_version_0_1_started_is_restarted(services: Any) -> None:
    """It has no secret yet, so it lets everybody in."""
    services.start(listener(services))
    (before,) = services.status()
    path = services.folder / "listener.json"
    state = json.loads(path.read_text())
    del state["port"]
    path.write_text(json.dumps(state))
    assert services.start(listener(services))
    (after,) = services.status()
    assert after.running
    assert after.pid != before.pid
    assert not services.start(listener(services))


def test_homes_that_start_at_the_same_time_have_servers_of_their_own(tmp_path: Path) -> None:
    """Both choose the same preferred port before either listens; the slower one moves to another port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        preferred = probe.getsockname()[1]
    homes = [Services(tmp_path / name) for name in "ab"]

    def service(services: Any) -> Any:
        port = services.port("server", preferred)
        command = (sys.executable, "-c", SLOW_LISTENER, str(port))
        return Service(
            "server", "the server", command, f"http://127.0.0.1:{port}", port, lambda: True, lambda: service(services)
        )

    services = [service(home) for home in homes]
    assert [service.port for service in services] == [preferred] * 2
    try:
        with ThreadPoolExecutor() as pool:
            assert list(pool.map(Services.start, homes, services)) == [True, True]
        (one,), (two,) = (home.status() for home in homes)
        assert one.running
        assert two.running
        assert one.pid != two.pid
        assert one.address != two.address
    finally:
        for home in homes:
            home.stop("server")


def test_ports_that_other_programs_took_are_found(services: Any) -> None:
    services.start(listener(services))
    services.port("listener-second"), services.port("idle")
    with socket.create_server(("127.0.0.1", services.port("crowded"))):
        assert services.occupied_ports() == {"crowded": services.port("crowded")}
    assert services.occupied_ports() == {}


def test_what_the_environment_of_a_service_holds_is_not_written_down(services: Any) -> None:
    service = listener(services, environment={"SECRET_OF_THE_TEST": "nobody-may-see-this"})
    services.start(service)
    assert "nobody-may-see-this" not in (services.folder / "listener.json").read_text()
    assert "nobody-may-see-this" not in repr(service)
    services.stop("listener")
    assert "nobody-may-see-this" in (services.folder / "listener.log").read_text(), "the service itself did get it"


def test_nothing_was_ever_started_here(tmp_path: Path) -> None:
    assert Services(tmp_path / "absent").status() == []
    assert not Services(tmp_path / "absent").stop("nothing")
