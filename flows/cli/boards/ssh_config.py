"""`boards ssh-config`: reach a board with one's own `ssh` and `scp`, under its name or its usual address."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.boards.common import chain_of
from flows.cli.options import Profile, Set
from infra.secrets import secret_file
from infra.settings import BoardSettings
from infra.store.atomic import write_text


def register(boards: typer.Typer) -> None:
    """Add the command to the group."""
    boards.command(
        "ssh-config",
        epilog="Examples: `atlasflow boards ssh-config toy > board.conf`, then `scp -F board.conf model.om toy:` · "
        "`… --alias 192.168.1.2`, then `ssh -F board.conf HwHiAiUser@192.168.1.2`",
    )(ssh_config)


def ssh_config(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")],
    alias: Annotated[
        list[str] | None, typer.Option(help="A further name of the board for ssh; may be given several times.")
    ] = None,
    profile: Profile = "local",
    settings: Set = None,
) -> None:
    """Print a board as an entry of OpenSSH's configuration: address, port, user, key, pinned host key.

    A stand-in is started. A password is never printed.
    """
    chain = chain_of(profile, settings)
    found = chain.world.board_settings(name)
    known = secret_file(chain.home, f"known-hosts-{name}")
    write_text(known, f"* {found.host_key}\n" if found.host_key else "", mode=0o600)
    print(entry([name, *(alias or [])], found, known))


def entry(names: list[str], board: BoardSettings, known_hosts: Path) -> str:
    """The entry of a board, without a line break at its end.

    Args:
        names: by which ssh shall know it.
        board: its settings.
        known_hosts: the file with the pinned host key.
    """
    lines = [
        f"Host {' '.join(names)}",
        f"    HostName {board.address}",
        f"    Port {board.port}",
        f"    User {board.user}",
        f'    UserKnownHostsFile "{known_hosts}"',
        "    StrictHostKeyChecking yes",
    ]
    if board.key:
        lines += [f'    IdentityFile "{Path(board.key).expanduser().absolute()}"', "    IdentitiesOnly yes"]
    return "\n".join(lines)
