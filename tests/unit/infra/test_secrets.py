import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.secrets import secret_file, service_secret


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_secret_is_for_its_owner_alone_whatever_the_umask_is(tmp_path: Path) -> None:
    service_secret(tmp_path, "key")
    assert mode(tmp_path / "secrets" / "key") == 0o600
    assert mode(tmp_path / "secrets") == 0o700


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    made = service_secret(tmp_path, "key")
    assert len(made) >= 24
    assert service_secret(tmp_path, "key") == made
    assert service_secret(tmp_path, "other") != made
    assert service_secret(tmp_path, "login", prefix="user:").startswith("user:")


def test_a_secret_that_others_could_read_is_closed(tmp_path: Path) -> None:
    service_secret(tmp_path, "key")
    (tmp_path / "secrets" / "key").chmod(0o644)
    (tmp_path / "secrets").chmod(0o755)
    service_secret(tmp_path, "key")
    assert mode(secret_file(tmp_path, "key")) == 0o600
    assert mode(tmp_path / "secrets") == 0o700


def test_a_secret_of_version_0_1_is_kept(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    older = tmp_path / "services" / "key.secret"
    older.write_text("as before")
    assert service_secret(tmp_path, "key") == "as before"
    assert not older.exists()
