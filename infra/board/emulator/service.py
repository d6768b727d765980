"""The stand-in board as a local service: an SSH server on 127.0.0.1 with its own home folder.

    <home>/boards/<name>/home/     the user's home: releases, set_env.sh of the stand-in toolkit, .bashrc as Ubuntu's
    <home>/boards/<name>/bin/      `python3` (numpy, Pillow; `acl` once set_env.sh is sourced), `npu-smi`
    <home>/boards/<name>/root/     what a board has in /usr/local, /home/data and /dev
    <home>/boards/<name>/password  a hash, where the settings give the board a password
    <home>/boards/<name>/host_key  the board's host key
    <home>/secrets/board-<name>    the client's key

Everything is created on first use; the keys are kept, so that the pinned host key stays valid.
"""

import os
import socket
import sys
from pathlib import Path

from infra.board.emulator import password as login
from infra.board.emulator.furniture import furnish
from infra.board.emulator.profiles import Profile, profile
from infra.errors import UserError
from infra.home import CHECKOUT
from infra.secrets import secret_file
from infra.services import Service, Services
from infra.settings import BoardSettings
from infra.store.atomic import write_text
from infra.store.locks import hold

BANNER = b"AtlasFlow_board_stand-in"  # as in sshd.py, whose import would load asyncssh


def service(
    services: Services,
    home: Path,
    name: str,
    *,
    soc_version: str = "Ascend310",
    run_mode: str = "device",
    like: str = "",
    password: str = "",
    faults: str = "",
) -> Service:
    """The stand-in board `name` of an AtlasFlow home, created on first use.

    Args:
        services: of the same home; assigns the port.
        home: the AtlasFlow home.
        name: of the board in the settings.
        soc_version: its chip, where `like` names none.
        run_mode: `device` as on an Atlas 200, `host` as with an Atlas 300 card; likewise.
        like: name of a profile that it imitates; empty for a plain board.
        password: for a login without a key; empty: there is none.
        faults: a fault plan for the server (`infra.faults`): points `sshd.login`, `sshd.command`, `sshd.open`,
            `sshd.write` and `sshd.rename`.
    """
    board = profile(like, soc_version, host=run_mode == "host")
    folder = _prepare(home, name, board)
    login.give(folder, password)
    port = services.port(_service_name(name))
    command = (
        *(sys.executable, "-m", "infra.board.emulator.sshd"),
        *("--folder", str(folder), "--port", str(port), "--user", board.user, "--faults", faults),
    )
    same = {"soc_version": soc_version, "run_mode": run_mode, "like": like, "password": password, "faults": faults}
    return Service(
        name=_service_name(name),
        title=f"board {name} (stand-in)",
        command=command,
        address=f"ssh://{board.user}@127.0.0.1:{port}",
        port=port,
        ready=lambda: _greets(port),
        rebuild=lambda: service(services, home, name, **same),
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
    folder = _prepare(home, name, None)
    settings = configured or BoardSettings()
    return settings.model_copy(
        update={
            "address": "127.0.0.1",
            "port": services.port(_service_name(name)),
            "user": profile(settings.like, settings.soc).user,
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


def _prepare(home: Path, name: str, board: Profile | None) -> Path:
    """Create missing files of the board's folder; its programs are rewritten for a given board."""
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise UserError(f"'{name}' cannot name a board", hint="use letters, digits, - and _")
    folder = home.resolve() / "boards" / name
    with hold(home / "boards" / f"{name}.lock"):
        (folder / "home").mkdir(parents=True, exist_ok=True)
        _make_key(folder / "host_key")
        key = _client_key(home, name)
        _make_key(key)
        write_text(folder / "authorized_keys", key.with_name(f"{key.name}.pub").read_text())
        if board is not None or not (folder / "bin").exists():
            furnish(folder, board or profile("", "Ascend310"))
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


def _greets(port: int) -> bool:
    """True when the stand-in's server answers there, and not another one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return BANNER in connection.recv(255)
    except OSError:
        return False
