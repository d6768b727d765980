"""The facts of a board: chip, toolkit, Python, free space, stand-in or real (docs/reference/boards.md §5)."""

import glob
import grp
import importlib
import os
import platform
import pwd
import re
import shutil
import subprocess
from typing import Dict, List, Optional

INSTALL_FILES = (
    "{toolkit}/share/info/runtime/version.info",
    "{home}/Ascend/cann/share/info/runtime/version.info",
    "{root}/usr/local/Ascend/cann/share/info/runtime/version.info",
    "{toolkit}/*-linux/ascend_toolkit_install.info",
    "{home}/Ascend/ascend-toolkit/latest/*-linux/ascend_toolkit_install.info",
    "{root}/usr/local/Ascend/ascend-toolkit/latest/*-linux/ascend_toolkit_install.info",
    "{home}/Ascend/nnrt/latest/*-linux/ascend_nnrt_install.info",
    "{root}/usr/local/Ascend/nnrt/latest/*-linux/ascend_nnrt_install.info",
)
ROOT = "ATLASFLOW_BOARD_ROOT"  # of a stand-in, whose files lie below a folder; not set on a board
# From here on, the number of a device is a virtual one's: part of a chip (docs/reference/boards.md §5).
FIRST_VIRTUAL = 100


def facts(root: str) -> Dict[str, object]:
    """Collect all facts; unknown ones are empty.

    Args:
        root: folder of the releases, for the free space of its file system.
    """
    npus = parse_npu_smi(_npu_smi())
    modules = {name: _import_problem(name) for name in ("numpy", "PIL", "acl")}
    acl = None if modules["acl"] else importlib.import_module("acl")
    soc = "Ascend" + npus[0]["name"] if npus else str(getattr(acl, "get_soc_name", str)() or "")
    return {
        "name": platform.node(),
        "soc_version": soc,
        "cann": _cann_version(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "free_bytes": _free_bytes(root),
        "emulated": getattr(acl, "EMULATED", False) is True,
        "npu": ", ".join("{name} {health}".format(**npu) for npu in npus),
        "devices": len(npus),
        "virtual": _virtual(),
        "modules": modules,
        "pillow": "" if modules["PIL"] else _version_of("PIL"),
        "numpy": "" if modules["numpy"] else _version_of("numpy"),
        "environment": os.environ.get("ATLASFLOW_ENVIRONMENT", ""),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "groups": _groups(),
        "closed_devices": [
            path for path in sorted(glob.glob(_root() + "/dev/davinci*")) if not os.access(path, os.R_OK | os.W_OK)
        ],
    }


def parse_npu_smi(text: str) -> List[Dict[str, str]]:
    """Parse the table of `npu-smi info`: two rows for each chip below the first line of `=`, then the processes."""
    found: List[Dict[str, str]] = []
    rows: List[List[str]] = []
    for line in text.partition("+=")[2].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif line.startswith("+"):
            if len(rows) == 2 and len(rows[0]) == 3 and rows[0][0][:1].isdigit():
                number, _, name = rows[0][0].partition(" ")
                found.append({"number": number, "name": name.strip(), "health": rows[0][1], "memory": rows[1][-1]})
            elif rows:
                break
            rows = []
    return found


def _root() -> str:
    return os.environ.get(ROOT, "")


def _virtual() -> List[str]:
    """The device files of virtual NPUs that this machine was given: davinci100 and up in a container, or vdavinci."""
    files = sorted(glob.glob(_root() + "/dev/*davinci[0-9]*"))
    found = [(path, re.search(r"/(v?)davinci(\d+)$", path)) for path in files]
    return [path for path, name in found if name and (name.group(1) or int(name.group(2)) >= FIRST_VIRTUAL)]


def _npu_smi() -> str:
    places = [_root() + folder + "/npu-smi" for folder in ("/usr/local/sbin", "/usr/local/bin")]
    program = shutil.which("npu-smi") or next((path for path in places if os.access(path, os.X_OK)), None)
    if program is None:
        return ""
    try:
        process = subprocess.run(
            [program, "info"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stdout.decode("utf-8", "replace")


def _cann_version() -> str:
    toolkit = os.environ.get("ASCEND_TOOLKIT_HOME") or os.environ.get("ASCEND_HOME_PATH") or "/nowhere"
    places = {"home": os.path.expanduser("~"), "toolkit": toolkit, "root": _root()}
    for pattern in INSTALL_FILES:
        for path in sorted(glob.glob(pattern.format(**places))):
            with open(path, encoding="utf-8", errors="replace") as file:
                match = re.search(r"^version=(.+)$", file.read(), re.MULTILINE | re.IGNORECASE)
            if match:
                return match.group(1).strip()
    return ""


def _version_of(module: str) -> str:
    return str(getattr(importlib.import_module(module), "__version__", ""))


def _import_problem(name: str) -> Optional[str]:
    """Why a module cannot be imported, such as a toolkit that is not sourced; None when it can."""
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a vendor's module may raise anything; it is reported
        return f"{type(error).__name__}: {error}"
    return None


def _free_bytes(root: str) -> int:
    while not os.path.isdir(root):
        root = os.path.dirname(root)
    status = os.statvfs(root)
    return status.f_bavail * status.f_frsize


def _groups() -> List[str]:
    names = []
    for number in os.getgroups():
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            names.append(str(number))
    return sorted(names)
