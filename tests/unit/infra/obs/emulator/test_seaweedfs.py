import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from infra.errors import UserError
from infra.obs.client import connect
from infra.obs.emulator import seaweedfs
from infra.ports.values import LocalFile
from infra.services import Services
from infra.settings import ObsSettings


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Any]:
    services = Services(tmp_path)
    yield services
    for status in services.status():
        services.stop(status.name)


def test_survives_being_killed_with_its_data(services: Any, tmp_path: Path) -> None:
    service = seaweedfs.service(services, tmp_path)
    assert "stand-in" in service.title
    assert services.start(service)
    assert not services.start(service)
    client = connect(seaweedfs.reach(ObsSettings(), services, tmp_path), emulated=True)
    client.ensure_bucket()
    data = os.urandom(20 * 1024 * 1024)
    path = tmp_path / "file"
    path.write_bytes(data)
    client.put("k", LocalFile(path, hashlib.sha256(data).hexdigest(), len(data)))

    (status,) = services.status()
    assert status.running
    os.kill(status.pid, signal.SIGKILL)
    psutil.Process(status.pid).wait(10)
    assert services.start(seaweedfs.service(services, tmp_path))
    again = connect(seaweedfs.reach(ObsSettings(), services, tmp_path), emulated=True)
    assert not again.ensure_bucket()
    assert again.get("k", tmp_path / "out") == hashlib.sha256(data).hexdigest()


def test_secrets_are_neither_shown_nor_passed_as_arguments(services: Any, tmp_path: Path) -> None:
    service = seaweedfs.service(services, tmp_path)
    secret = service.environment["AWS_SECRET_ACCESS_KEY"]
    assert len(secret) >= 24
    assert secret not in repr(service)
    assert not any(secret in word for word in service.command)
    assert secret not in repr(seaweedfs.reach(ObsSettings(), services, tmp_path))
    later = seaweedfs.service(Services(tmp_path), tmp_path)
    assert (later.command, later.environment) == (service.command, service.environment)


def test_a_missing_program_is_explained(services: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="not installed"):
        seaweedfs.service(services, tmp_path)


def test_is_reached_as_obs_in_any_region(services: Any, tmp_path: Path) -> None:
    asked = ObsSettings(stand_in="as-obs", region="ap-southeast-1")
    for service in seaweedfs.stand_ins(asked, services, tmp_path):
        assert services.start(service)
    reached = seaweedfs.reached(asked, services, tmp_path)
    assert reached.endpoint == "https://obs.ap-southeast-1.myhuaweicloud.com"
    client = connect(reached, emulated=True)
    assert client.ensure_bucket()
    path = tmp_path / "file"
    path.write_bytes(b"x")
    client.put("k", LocalFile(path, hashlib.sha256(b"x").hexdigest(), 1))
    assert httpx.get(client.link("k", 60)).content == b"x"

    elsewhere = asked.model_copy(update={"region": "cn-north-4"})
    _, front = seaweedfs.stand_ins(elsewhere, services, tmp_path)
    assert services.start(front)
    stored = connect(seaweedfs.reached(elsewhere, services, tmp_path)).head("k")
    assert stored is not None
    assert stored.size == 1


def test_an_end_point_of_its_own_needs_no_stand_in(services: Any, tmp_path: Path) -> None:
    named = ObsSettings(endpoint="https://obs.cn-north-4.myhuaweicloud.com", stand_in="as-obs")
    assert seaweedfs.stand_ins(named, services, tmp_path) == []
    assert seaweedfs.reached(named, services, tmp_path) == named
