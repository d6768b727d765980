import os
from pathlib import Path
from typing import Any

import pytest

from infra.board.agent import facts

# Tables in the layout of docs/reference/boards.md §5, of a board with one chip and of a server with two.
BOARD = """\
+--------------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc3                                 Version: 23.0.rc3                                     |
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 0       310B4                 | Alarm           | 7.7          54                15    / 15            |
| 0       0                     | NA              | 0            2166 / 3513                             |
+===============================+=================+======================================================+
"""
SERVER = """\
+------------------------------------------------------------------------------------+
| npu-smi 22.0.2                    Version: 22.0.2                                  |
+----------------------+---------------+---------------------------------------------+
| NPU   Name           | Health        | Power(W)    Temp(C)    Hugepages-Usage(page)|
| Chip                 | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB) |
+======================+===============+=============================================+
| 0     910PremiumA    | OK            | 71.5        37         0    / 0             |
| 0                    | 0000:81:00.0  | 0           1600 / 15079     1 / 32768      |
+======================+===============+=============================================+
| 1     910PremiumA    | Warning       | 70.1        36         0    / 0             |
| 0                    | 0000:82:00.0  | 0           1600 / 15079     1 / 32768      |
+======================+===============+=============================================+
+----------------------+---------------+---------------------------------------------+
| NPU     Chip         | Process id    | Process name             | Process memory(MB) |
+======================+===============+=============================================+
| No running processes found in NPU 0                                                |
+======================+===============+=============================================+
"""


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (BOARD, [("0", "310B4", "Alarm")]),
        (SERVER, [("0", "910PremiumA", "OK"), ("1", "910PremiumA", "Warning")]),
        ("", []),
        ("npu-smi: command failed\n", []),
        ("+=====+\n", []),
    ],
)
def test_npu_smi(table: Any, expected: Any) -> None:
    found = facts.parse_npu_smi(table)
    assert [(npu["number"], npu["name"], npu["health"]) for npu in found] == expected


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with nothing on it; returns the folder of its programs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ASCEND_TOOLKIT_HOME", raising=False)
    return tmp_path / "bin"


def test_a_machine_without_anything(machine: Any, tmp_path: Path) -> None:
    said = facts.facts(str(tmp_path / "absent" / "folder"))
    assert (said["soc_version"], said["npu"], said["emulated"]) == ("", "", False)
    modules = said["modules"]
    assert isinstance(modules, dict)
    assert "No module named 'acl'" in modules["acl"]
    assert modules["numpy"] is None
    assert isinstance(said["free_bytes"], int)
    assert said["free_bytes"] > 0


@pytest.mark.parametrize(
    ("script", "soc"), [(f"cat <<'T'\n{BOARD}T\n", "Ascend310B4"), ("exit 3\n", ""), ("echo '\\377garbage'\n", "")]
)
def test_the_chip_comes_from_npu_smi(machine: Any, tmp_path: Path, script: str, soc: str) -> None:
    program = machine / "npu-smi"
    program.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}")
    program.chmod(0o755)
    assert facts.facts(str(tmp_path))["soc_version"] == soc


def test_the_toolkit_s_version(machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "toolkit" / f"{os.uname().machine}-linux"
    folder.mkdir(parents=True)
    (folder / "ascend_toolkit_install.info").write_text("package_name=Ascend-cann-toolkit\nversion=7.0.RC1\n")
    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", str(tmp_path / "toolkit"))
    assert facts.facts(str(tmp_path))["cann"] == "7.0.RC1"


def test_the_version_of_the_layout_of_cann_8_5(machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cann" / "share" / "info" / "runtime"
    folder.mkdir(parents=True)
    (folder / "version.info").write_text("Version=8.5.0\nversion_dir=8.5.0\n")
    monkeypatch.delenv("ASCEND_TOOLKIT_HOME", raising=False)
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "cann"))
    assert facts.facts(str(tmp_path))["cann"] == "8.5.0"
