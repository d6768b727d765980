"""What stands in the folder of a stand-in board: its Python, its `npu-smi`, its toolkit and its device files."""

import importlib.util
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path

from infra.board.emulator.profiles import PLAIN, Layout, Profile, npu_smi
from infra.errors import UserError
from infra.store.atomic import write_text

# The packages of a board's Python, and those of the stand-in `acl`; they are linked, no others are visible.
MODULES = ("numpy", "PIL", "onnxruntime")
ACL = Path(__file__).parent / "acl"

_SET_ENV = """\
# The environment script of the stand-in toolkit, in the place of a real set_env.sh.
export {variable}={home}
export PYTHONPATH={acl}:"$PYTHONPATH"
"""
_INSTALL_INFO = """\
package_name=Ascend-{package} (AtlasFlow stand-in)
version={version}
arch={arch}
os=linux
path={path}
"""
# In Ubuntu's order: a shell that is not interactive ends here, so exports for `ssh board COMMAND` belong above.
_BASHRC = """\
case $- in
    *i*) ;;
      *) return ;;
esac
HISTCONTROL=ignoreboth
PS1='\\u@board:\\w\\$ '
"""
_PROFILE = """\
export PATH="$STAND_IN_PROGRAMS:$PATH"  # /etc/profile of this machine has set it anew
if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then
    . "$HOME/.bashrc"
fi
"""
# Paths of the board's own file system in PYTHONPATH are below its folder here.
_PLACES = r"s#\(^\|:\)/usr/local/Ascend/#\1$ROOT/usr/local/Ascend/#g"
_NPU_SMI = """\
#!/bin/sh
cat <<'TABLE'
{table}TABLE
"""


def furnish(folder: Path, board: Profile) -> None:
    """Write all of it, if the board or this program's place has changed.

    Args:
        folder: of the board; what it imitated before is removed.
        board: to imitate.
    """
    mark, wanted = folder / "furnished", f"2 {board!r} {sys.executable} {ACL}\n"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return
    mark.unlink(missing_ok=True)
    for old in (folder / "root", folder / "home" / "Ascend"):
        shutil.rmtree(old, ignore_errors=True)
    _python(folder, board)
    place = folder / "root" / "usr" / "local" / "sbin" if board.sbin else folder / "bin"
    (folder / "bin" / "npu-smi").unlink(missing_ok=True)
    write_text(place / "npu-smi", _NPU_SMI.format(table=npu_smi(board)), mode=0o755)
    devices = folder / "root" / "dev"
    for number in range(board.devices):
        write_text(devices / f"davinci{board.first_file + number}", "")
    write_text(devices / "davinci_manager", "")
    for name, text in ((".bashrc", _BASHRC), (".profile", _PROFILE)):
        if not (folder / "home" / name).exists():
            write_text(folder / "home" / name, text)
    _toolkit(folder, board)
    write_text(mark, wanted)


def _python(folder: Path, board: Profile) -> None:
    """A `python3` that sees only what a board's has, and knows the chips that the machine has."""
    library = folder / "lib"
    library.mkdir(exist_ok=True)
    for module in MODULES:
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise UserError(f"the stand-in board needs the Python package {module}", hint="run `make setup`")
        package = Path(spec.origin).parent
        # Wheels have their shared libraries next to the package, in NAME.libs.
        for source in (package, *package.parent.glob(f"{'pillow' if module == 'PIL' else module}.libs")):
            _link(library / source.name, source)
    hardware = {
        "ATLASFLOW_ACL_SOC": board.soc_version,
        "ATLASFLOW_ACL_RUN_MODE": "host" if board.host else "device",
        "ATLASFLOW_ACL_DEVICES": str(board.devices),
    }
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in hardware.items())]
    lines += [f"ROOT={shlex.quote(str(folder / 'root'))}"]
    lines += [f'PYTHONPATH="$(printf %s "$PYTHONPATH" | sed "{_PLACES}")"']
    lines += [f'export PYTHONPATH={shlex.quote(str(library))}:"$PYTHONPATH"']
    lines += [f'exec {shlex.quote(sys.executable)} -S "$@"', ""]
    write_text(folder / "bin" / "python3", "\n".join(lines), mode=0o755)


def _toolkit(folder: Path, board: Profile) -> None:
    local = folder / "root" / "usr" / "local" / "Ascend"
    places = {
        Layout.HOME: folder / "home" / "Ascend" / "ascend-toolkit",
        Layout.SYSTEM: local / "ascend-toolkit",
        Layout.NNRT: local / "nnrt",
        Layout.CANN: local / "cann",
    }
    if board.cann == PLAIN:  # it is like any board, also like one without a script
        _link_acl(local / "pyACL" / "python" / "site-packages" / "acl")
    if board.layout is Layout.MINID:
        _link_acl(folder / "root" / "home" / "data" / "miniD" / "driver" / "lib64")
    elif board.layout is Layout.MODULE:
        (local / "runtime" / "lib64").mkdir(parents=True)
        _link_acl(local / "pyACL" / "python" / "site-packages" / "acl")
    elif board.layout is Layout.CANN:
        home = places[board.layout]
        _script(home, "ASCEND_HOME_PATH", home)
        version = home / "share" / "info" / "runtime" / "version.info"
        write_text(version, f"Version={board.cann}\nversion_dir={board.cann}\n")
    else:
        home, machine = places[board.layout], platform.machine()
        _script(home, "ASCEND_TOOLKIT_HOME", home / "latest")
        package = "nnrt" if board.layout is Layout.NNRT else "toolkit"
        info = home / "latest" / f"{machine}-linux" / f"ascend_{package}_install.info"
        text = _INSTALL_INFO.format(package=package, version=board.cann, arch=machine, path=home)
        write_text(info, text)


def _script(folder: Path, variable: str, home: Path) -> None:
    text = _SET_ENV.format(variable=variable, home=shlex.quote(str(home)), acl=shlex.quote(str(ACL)))
    write_text(folder / "set_env.sh", text)


def _link_acl(folder: Path) -> None:
    folder.mkdir(parents=True)
    _link(folder / "acl", ACL / "acl")


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.symlink_to(target)
    temporary.replace(link)
