"""Connect to a board: key login, pinned host key, and one mapping of network errors."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh

from infra.errors import AtlasFlowError, Refused, Transient, UserError
from infra.settings import BoardSettings

CONNECT_SECONDS = 15.0
KEEPALIVE_SECONDS = 15.0  # three without an answer end the connection


class HostKeyRefused(Refused):
    """The board's host key is not the pinned one."""


class LoginRefused(Refused):
    """The board does not accept the login."""


def fingerprint(key: asyncssh.SSHKey) -> str:
    """The SHA-256 fingerprint in OpenSSH's form."""
    text: str = key.get_fingerprint("sha256")
    return text


async def connect(name: str, settings: BoardSettings) -> asyncssh.SSHClientConnection:
    """Log in.

    Raises:
        UserError: no address, an unreadable key.
        Refused: the host key is not the pinned one, or the board does not accept the login.
        Transient: the board cannot be reached.
    """
    if not settings.address:
        raise UserError(f"board {name} has no address", hint=f"set boards.{name}.address, or use its stand-in")
    pinned = pinned_key(name, settings)
    guard = _HostKeyGuard(pinned)
    with mapped(name, settings, guard):
        return await asyncio.wait_for(
            asyncssh.connect(settings.address, **_options(settings, pinned), client_factory=lambda: guard),
            CONNECT_SECONDS,
        )


async def host_key(name: str, settings: BoardSettings) -> asyncssh.SSHKey:
    """Fetch the board's host key without a login, for a person to compare before it is pinned."""
    with mapped(name, settings):
        key = await asyncio.wait_for(
            asyncssh.get_server_host_key(settings.address, settings.port, config=None), CONNECT_SECONDS
        )
    if key is None:
        raise Refused(f"board {name} shows no host key")
    return key


class _HostKeyGuard(asyncssh.SSHClient):
    """Accepts only the pinned host key; keeps the key that the board showed."""

    def __init__(self, pinned: asyncssh.SSHKey | None) -> None:
        self.pinned = pinned
        self.shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Compare the key with the pinned one."""
        self.shown = key
        return self.pinned is not None and key.public_data == self.pinned.public_data


@contextlib.contextmanager
def mapped(name: str, settings: BoardSettings, guard: _HostKeyGuard | None = None) -> Iterator[None]:
    """Map the errors of asyncssh and the network to those of `infra.errors`."""
    where = f"board {name} at {settings.address}:{settings.port}"
    try:
        yield
    except asyncssh.HostKeyNotVerifiable as error:
        raise _host_key_error(name, where, guard) from error
    except asyncssh.PermissionDenied as error:
        raise LoginRefused(
            f"{where} does not accept the login of {settings.user}",
            hint=f"append the public half of {settings.key or 'your key'} to ~/.ssh/authorized_keys on the board",
        ) from error
    except asyncssh.SFTPError as error:
        raise _file_error(name, where, error) from error
    except asyncssh.KeyExchangeFailed as error:
        raise HostKeyRefused(
            f"{where} offers no host key of the pinned kind, or no common cipher: {error.reason}"
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise UserError(f"the key of board {name} cannot be used: {error}") from error
    except (asyncssh.Error, EOFError, OSError) as error:
        raise _network_error(where, error) from error


def _file_error(name: str, where: str, error: asyncssh.SFTPError) -> AtlasFlowError:
    if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
        return Transient(f"the connection to {where} was lost")
    if isinstance(error, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
        return Refused(f"{where} has no space left", hint=f"free some, such as with `atlasflow boards prune {name}`")
    # An OpenSSH server reports only "Failure", for a full disk too.
    return Refused(f"{where} could not store or read a file: {error.reason}", hint="look at its free space")


def _network_error(where: str, error: Exception) -> Transient:
    if isinstance(error, TimeoutError):
        return Transient(f"{where} does not answer", hint="is the board up and in the same network?")
    reason = getattr(error, "reason", "") or getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, OSError) and not isinstance(error, ConnectionResetError | BrokenPipeError):
        return Transient(f"{where} cannot be reached: {reason}", hint="is the board up and in the same network?")
    return Transient(f"the connection to {where} was lost: {reason}", hint="is the board up?")


def _host_key_error(name: str, where: str, guard: _HostKeyGuard | None) -> HostKeyRefused:
    if guard is None or guard.shown is None:
        return HostKeyRefused(f"{where} shows a host key that cannot be checked")
    shown = f"{guard.shown.get_algorithm()} {fingerprint(guard.shown)}"
    if guard.pinned is None:
        return HostKeyRefused(
            f"the host key of {where} is unknown: {shown}",
            hint=f"compare it with the board's own (ssh-keygen -lf), then run `atlasflow boards trust {name}`",
        )
    return HostKeyRefused(
        f"the host key of {where} has changed: {shown} instead of {fingerprint(guard.pinned)}; "
        "another machine may be answering in its place",
        hint=f"only if the board was set up anew: `atlasflow boards trust {name}`",
    )


def pinned_key(name: str, settings: BoardSettings) -> asyncssh.SSHKey | None:
    """The host key of the settings.

    Raises:
        UserError: it is not a public key.
    """
    if not settings.host_key:
        return None
    try:
        return asyncssh.import_public_key(settings.host_key)
    except asyncssh.KeyImportError as error:
        raise UserError(
            f"boards.{name}.host_key is not a public key: {error}", hint="write it as in 'ssh-ed25519 AAAA…'"
        ) from error


def _options(settings: BoardSettings, pinned: asyncssh.SSHKey | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "port": settings.port,
        "username": settings.user,
        "config": None,
        "known_hosts": ([], [], []),  # the guard decides alone
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": 3,
        "compression_algs": None,
    }
    if pinned is not None:
        algorithm = pinned.get_algorithm()
        options["server_host_key_algs"] = ["rsa-sha2-512", "rsa-sha2-256"] if algorithm == "ssh-rsa" else [algorithm]
    if settings.key:
        path = Path(settings.key).expanduser()
        if not path.is_file():
            raise UserError(f"there is no key file {path}", hint="make one with ssh-keygen -t ed25519")
        options |= {"client_keys": [str(path)], "agent_path": None}
    if settings.password.get_secret_value():
        options["password"] = settings.password.get_secret_value()
    return options
