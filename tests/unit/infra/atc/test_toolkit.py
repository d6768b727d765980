"""Finding a toolkit that is laid out as CANN's installer does it."""

import os
import platform
import stat
from pathlib import Path

import pytest

from infra.atc.factory import open_compiler, real
from infra.atc.toolkit import find_toolkit, find_toolkits, source
from infra.errors import Refused, UserError
from infra.ports.compilation import CompileRequest


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


def installed(folder: Path, chip: str, version: str) -> Path:
    """A toolkit with the operators of one chip, whose `atc` writes who it is; returns its script."""
    (folder / "bin").mkdir(parents=True)
    (folder / "opp/built-in/op_impl/ai_core/tbe/config" / chip).mkdir(parents=True)
    (folder / "share/info/runtime").mkdir(parents=True)
    (folder / "share/info/runtime/version.info").write_text(f"Version={version}\n")
    (folder / "bin" / "atc").write_text(f'#!/bin/sh\necho "$ASCEND_OPP_PATH" >model.om; echo compiled for {chip}\n')
    (folder / "bin" / "atc").chmod(0o755)
    script = folder / "set_env.sh"
    script.write_text(
        f"export ASCEND_HOME_PATH='{folder}' ASCEND_OPP_PATH='{folder}/opp' PATH=\"{folder}/bin:$PATH\"\n"
    )
    return script


def test_each_chip_of_a_run_is_compiled_by_the_toolkit_with_its_operators(tmp_path: Path, script: Path) -> None:
    edge = installed(tmp_path / "edge", "ascend310b", "8.5.0")
    card = installed(tmp_path / "card", "ascend310p", "8.3.RC1")
    compiler = open_compiler("atc", find=lambda: find_toolkits([str(card)], [str(edge)]))
    assert compiler.producer().version == "8.5.0"
    assert compiler.producer().details["toolkit 2"] == "8.3.RC1"
    (tmp_path / "model.onnx").write_bytes(b"")
    for soc, home in (("Ascend310P3", "card"), ("Ascend310B4", "edge")):
        output = tmp_path / soc / "model.om"
        lines: list[str] = []
        request = CompileRequest(tmp_path / "model.onnx", output, soc, {"image": (1, 3, 32, 32)}, {})
        compiler.compile(request, lines.append)
        assert output.read_text() == f"{tmp_path}/{home}/opp\n"


def test_a_toolkit_of_the_settings_must_be_one(tmp_path: Path, script: Path) -> None:
    with pytest.raises(UserError, match="there is no script /nowhere"):
        find_toolkits(["/nowhere"], [])
    (tmp_path / "empty.sh").write_text("export A=1\n")
    with pytest.raises(UserError, match="brings no atc"):
        find_toolkits([str(tmp_path / "empty.sh")], [])
