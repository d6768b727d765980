import hashlib
import os
import signal

import psutil
import pytest

from infra.errors import UserError
from infra.obs import emulator
from infra.obs.client import connect
from infra.ports import LocalFile
from infra.services import Services
from infra.settings import ObsSettings


@pytest.fixture
def services(tmp_path):
    services = Services(tmp_path)
    yield services
    services.stop(emulator.NAME)


def test_survives_being_killed_with_its_data(services, tmp_path):
    service = emulator.service(services, tmp_path)
    assert "stand-in" in service.title
    assert services.start(service)
    assert not services.start(service)
    client = connect(emulator.reach(ObsSettings(), services, tmp_path), emulated=True)
    client.ensure_bucket()
    data = os.urandom(20 * 1024 * 1024)
    path = tmp_path / "file"
    path.write_bytes(data)
    client.put("k", LocalFile(path, hashlib.sha256(data).hexdigest(), len(data)))

    (status,) = services.status()
    assert status.running
    os.kill(status.pid, signal.SIGKILL)
    psutil.Process(status.pid).wait(10)
    assert services.start(emulator.service(services, tmp_path))
    again = connect(emulator.reach(ObsSettings(), services, tmp_path), emulated=True)
    assert not again.ensure_bucket()
    assert again.get("k", tmp_path / "out") == hashlib.sha256(data).hexdigest()


def test_secrets_are_neither_shown_nor_passed_as_arguments(services, tmp_path):
    service = emulator.service(services, tmp_path)
    secret = service.environment["AWS_SECRET_ACCESS_KEY"]
    assert len(secret) >= 24
    assert secret not in repr(service)
    assert not any(secret in word for word in service.command)
    assert secret not in repr(emulator.reach(ObsSettings(), services, tmp_path))
    later = emulator.service(Services(tmp_path), tmp_path)
    assert (later.command, later.environment) == (service.command, service.environment)


def test_a_missing_program_is_explained(services, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="not installed"):
        emulator.service(services, tmp_path)
