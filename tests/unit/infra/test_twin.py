"""A shell of the twin: `atc` on PATH, which is never taken for a toolkit."""

import os
import subprocess
from pathlib import Path

import pytest

from infra.atc.toolkit import find_toolkit
from infra.errors import UserError
from infra.settings import load
from infra.twin import variables, write_programs
from infra.world import World
from tests.unit.infra.atc.emulator.networks import lenet, saved


def test_the_tutorials_exports_find_atc(tmp_path: Path) -> None:
    root = write_programs(tmp_path / "a home")
    saved(lenet(), tmp_path / "model.onnx")
    exports = "export PATH=${install_path}/compiler/ccec_compiler/bin:${install_path}/compiler/bin:$PATH"
    command = "atc --model=./model.onnx --framework=5 --output=./model --soc_version=Ascend310"
    done = subprocess.run(
        ["bash", "-c", f"{exports} && {command}"],
        env={"PATH": os.environ["PATH"], "install_path": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ATC run success" in done.stdout
    assert (tmp_path / "model.om").is_file()


def test_it_is_no_toolkit_and_hides_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_programs(tmp_path)
    monkeypatch.setenv("PATH", str(root / "bin"))
    assert find_toolkit(()) is None
    real = tmp_path / "real" / "atc"
    real.parent.mkdir()
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{real.parent}")
    found = find_toolkit(())
    assert found is not None
    assert found.atc == real


def test_a_real_service_is_no_twin(tmp_path: Path) -> None:
    settings = load("twin", {"obs.endpoint": "https://obs.cn-north-4.myhuaweicloud.com"})
    with pytest.raises(UserError, match=r"obs\.endpoint names a real service"):
        variables(World(settings, tmp_path), compatible=False)
