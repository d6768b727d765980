"""Finding a toolkit that is laid out as CANN's installer does it."""

import os
import platform
import stat
from pathlib import Path

import pytest

from infra.atc.factory import real
from infra.atc.toolkit import find_toolkit, source
from infra.errors import Refused


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set_env.sh of a toolkit in `tmp_path`, which nobody has sourced yet."""
    for name in ("ASCEND_OPP_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    atc = tmp_path / "bin" / "atc"
    atc.write_text("#!/bin/sh\nexit 0\n")
    atc.chmod(atc.stat().st_mode | stat.S_IXUSR)
    script = tmp_path / "set_env.sh"
    script.write_text(
        f"echo chatter\nexport ASCEND_TOOLKIT_HOME='{tmp_path}'\nexport ASCEND_OPP_PATH='{tmp_path}/opp'\n"
        f'export PATH="{tmp_path}/bin:$PATH"\nexport LD_LIBRARY_PATH="{tmp_path}/lib64"\n'
    )
    return script


def test_a_toolkit_that_was_not_sourced_is_found_and_sourced(script: Path) -> None:
    found = find_toolkit([str(script)])
    assert found is not None
    assert found.atc == script.parent / "bin" / "atc"
    assert found.environment["ASCEND_OPP_PATH"] == f"{script.parent}/opp"
    assert found.environment["PATH"].startswith(f"{script.parent}/bin:")
    assert "HOME" not in found.environment
    assert "ASCEND_OPP_PATH" not in os.environ


def test_nothing_is_found_where_nothing_is(tmp_path: Path, script: Path) -> None:
    assert find_toolkit([str(tmp_path / "none.sh")]) is None


def test_the_version_comes_from_the_install_record(script: Path) -> None:
    record = script.parent / f"{platform.machine()}-linux" / "ascend_toolkit_install.info"
    record.parent.mkdir()
    record.write_text("package_name=Ascend-cann-toolkit\nversion=7.0.RC1\ninnerversion=V100\n")
    found = find_toolkit([str(script)])
    assert found is not None
    assert found.version == "7.0.RC1"


def test_the_toolkit_has_the_version_of_atcs_python(script: Path) -> None:
    python = script.parent / "bin" / "python3"
    python.write_text("#!/bin/sh\necho 3.9.2\n")
    python.chmod(0o755)
    found = find_toolkit([str(script)])
    assert found is not None
    assert found.python == "3.9.2"
    assert real(found).producer().details == {"python": "3.9.2"}


def test_a_python_that_does_not_run_is_refused(script: Path) -> None:
    python = script.parent / "bin" / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(Refused, match="python3 does not run"):
        find_toolkit([str(script)])


def test_without_a_record_the_version_is_a_digest_of_the_command(script: Path) -> None:
    first = find_toolkit([str(script)])
    (script.parent / "bin" / "atc").write_text("#!/bin/sh\nexit 1\n")
    second = find_toolkit([str(script)])
    assert first is not None
    assert second is not None
    assert first.version.startswith("sha256-")
    assert first.version != second.version


def test_stub_libraries_come_last_and_only_without_a_driver(script: Path) -> None:
    stubs = script.parent / "runtime" / "lib64" / "stub"
    stubs.mkdir(parents=True)
    found = find_toolkit([str(script)])
    assert found is not None
    assert found.environment["LD_LIBRARY_PATH"] == f"{script.parent}/lib64:{stubs}"
    (script.parent / "lib64").mkdir()
    (script.parent / "lib64" / "libascend_hal.so").touch()
    found = find_toolkit([str(script)])
    assert found is not None
    assert found.environment["LD_LIBRARY_PATH"] == f"{script.parent}/lib64"


def test_a_script_that_fails_is_refused(script: Path) -> None:
    script.write_text("exit 3\n")
    with pytest.raises(Refused, match=r"set_env\.sh"):
        source(script)
