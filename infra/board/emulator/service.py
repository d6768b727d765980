"""The stand-in board as a local service: an SSH server on 127.0.0.1 with its own home folder.

    <home>/boards/<name>/home/     the user's home: releases, set_env.sh of the stand-in toolkit
    <home>/boards/<name>/bin/      `python3` (numpy, Pillow; `acl` once set_env.sh is sourced), `npu-smi`
    <home>/boards/<name>/host_key  the board's host key
    <home>/secrets/board-<name>    the client's key

Everything is created on first use; the keys are kept, so that the pinned host key stays valid.
"""

import importlib.util
import os
import platform
import shlex
import socket
import sys
from pathlib import Path

from infra.errors import UserError
from infra.home import CHECKOUT
from infra.secrets import secret_file
from infra.services import Service, Services
from infra.settings import BoardSettings
from infra.store.atomic import write_text
from infra.store.locks import hold

USER = "HwHiAiUser"
BANNER = b"AtlasFlow_board_stand-in"  # as in sshd.py, whose import would load asyncssh
# The packages of a board's Python, and those of the stand-in `acl`; they are linked, no others are visible.
MODULES = ("numpy", "PIL", "onnxruntime")

_SET_ENV = """\
# The environment script of the stand-in toolkit, in the place of a real set_env.sh.
export ASCEND_TOOLKIT_HOME="$HOME/Ascend/ascend-toolkit/latest"
export ATLASFLOW_ACL_SOC={soc}
export ATLASFLOW_ACL_RUN_MODE={run_mode}
export PYTHONPATH={acl}:"$PYTHONPATH"
"""

_INSTALL_INFO = """\
package_name=Ascend-toolkit (AtlasFlow stand-in)
version=stand-in
arch={arch}
os=linux
path={path}
"""

_NPU_SMI = """\
#!/bin/sh
cat <<'TABLE'
+------------------------------------------------------------------------------------+
| npu-smi stand-in                      Version: AtlasFlow                           |
+-----------------------+-----------------+------------------------------------------+
| NPU     Name          | Health          | Power(W)   Temp(C)   Hugepages-Usage(page) |
| Chip    Device        | Bus-Id          | AICore(%)  Memory-Usage(MB)              |
+=======================+=================+==========================================+
| 0       {name:<13} | OK              | 0.0        25        0    / 0            |
| 0       0             | NA              | 0          0    / 8192                   |
+=======================+=================+==========================================+
TABLE
"""


def service(
    services: Services,
    home: Path,
    name: str,
    *,
    soc_version: str = "Ascend310",
    run_mode: str = "device",
    faults: str = "",
) -> Service:
    """The stand-in board `name` of an AtlasFlow home, created on first use.

    Args:
        services: of the same home; assigns the port.
        home: the AtlasFlow home.
        name: of the board in the settings.
        soc_version: its chip.
        run_mode: `device` as on an Atlas 200, `host` as with an Atlas 300 card.
        faults: a fault plan for the server (`infra.faults`): points `sshd.login`, `sshd.command`, `sshd.open`,
            `sshd.write` and `sshd.rename`.
    """
    folder = _prepare(home, name, soc_version, run_mode)
    port = services.port(_service_name(name))
    command = (
        *(sys.executable, "-m", "infra.board.emulator.sshd"),
        *("--folder", str(folder), "--port", str(port), "--user", USER, "--faults", faults),
    )
    return Service(
        name=_service_name(name),
        title=f"board {name} (stand-in)",
        command=command,
        address=f"ssh://{USER}@127.0.0.1:{port}",
        port=port,
        ready=lambda: _greets(port),
        rebuild=lambda: service(services, home, name, soc_version=soc_version, run_mode=run_mode, faults=faults),
        environment={"PYTHONPATH": str(CHECKOUT)},
        start_seconds=20,
        stop_seconds=5,
    )


def board_settings(services: Services, home: Path, name: str, configured: BoardSettings | None = None) -> BoardSettings:
    """The connection settings of the stand-in board `name`: address, port, user, key and pinned host key.

    Args:
        services: of the same home.
        home: the AtlasFlow home.
        name: of the board.
        configured: the board's settings; those that are not about the connection (its folder) are kept.
    """
    folder = _prepare(home, name, None, None)
    settings = configured or BoardSettings()
    return settings.model_copy(
        update={
            "address": "127.0.0.1",
            "port": services.port(_service_name(name)),
            "user": USER,
            "as_root": os.geteuid() == 0,
            "key": str(_client_key(home, name)),
            "host_key": (folder / "host_key.pub").read_text().strip(),
        }
    )


def give_keyring(home: Path, name: str, settings: BoardSettings, text: str) -> None:
    """Store the keyring in the folder of a stand-in board, as its owner would on a real one."""
    path = home.resolve() / "boards" / name / "home" / settings.folder / "trust" / "keyring.json"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(path, text, mode=0o600)


def _service_name(name: str) -> str:
    return f"board-{name}"


def _client_key(home: Path, name: str) -> Path:
    return secret_file(home, f"board-{name}")


def _prepare(home: Path, name: str, soc_version: str | None, run_mode: str | None) -> Path:
    """Create missing files of the board's folder; the toolkit is rewritten for a given chip."""
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise UserError(f"'{name}' cannot name a board", hint="use letters, digits, - and _")
    folder = home.resolve() / "boards" / name
    with hold(home / "boards" / f"{name}.lock"):
        (folder / "home").mkdir(parents=True, exist_ok=True)
        _make_key(folder / "host_key")
        key = _client_key(home, name)
        _make_key(key)
        write_text(folder / "authorized_keys", key.with_name(f"{key.name}.pub").read_text())
        if soc_version is not None or not (folder / "bin").exists():
            _install_programs(folder, soc_version or "Ascend310", run_mode or "device")
    return folder


def _make_key(path: Path) -> None:
    """An Ed25519 key pair, the private key readable by its owner only."""
    public = path.with_name(f"{path.name}.pub")
    if path.exists() and public.exists():
        return
    import asyncssh  # noqa: PLC0415 - only the first use of a board needs it

    key = asyncssh.generate_private_key("ssh-ed25519", comment=f"atlasflow {path.name}")
    write_text(path, key.export_private_key().decode(), mode=0o600)
    write_text(public, key.export_public_key().decode())


def _install_programs(folder: Path, soc_version: str, run_mode: str) -> None:
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
    python = f'exec {shlex.quote(sys.executable)} -S "$@"'
    path = f'export PYTHONPATH={shlex.quote(str(library))}:"$PYTHONPATH"'
    write_text(folder / "bin" / "python3", f"#!/bin/sh\n{path}\n{python}\n", mode=0o755)
    write_text(folder / "bin" / "npu-smi", _NPU_SMI.format(name=soc_version.removeprefix("Ascend")), mode=0o755)
    toolkit = folder / "home" / "Ascend" / "ascend-toolkit"
    acl = Path(__file__).parent / "acl"
    write_text(
        toolkit / "set_env.sh",
        _SET_ENV.format(soc=shlex.quote(soc_version), run_mode=shlex.quote(run_mode), acl=shlex.quote(str(acl))),
    )
    machine = platform.machine()
    write_text(
        toolkit / "latest" / f"{machine}-linux" / "ascend_toolkit_install.info",
        _INSTALL_INFO.format(arch=machine, path=toolkit),
    )


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.symlink_to(target)
    temporary.replace(link)


def _greets(port: int) -> bool:
    """True when the stand-in's server answers there, and not another one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return BANNER in connection.recv(255)
    except OSError:
        return False
